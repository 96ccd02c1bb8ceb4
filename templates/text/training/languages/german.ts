// German.

import type { LanguagePieces } from './types.ts';

export const german: LanguagePieces = {
  verbSecond: true,
  subjects: `der Lehrer | mein Bruder | unsere Nachbarin | eine junge Frau | der alte Mann | seine Tochter | die Ärztin
    ihr bester Freund | die Bürgermeisterin | ein Ingenieur | die ganze Familie | niemand | jeder | das Kind | deine Tante
    der Kellner | diese Firma | die neue Regierung | ein Fremder | der Gärtner`,
  verbs: `kauft | findet | suchte | verkauft | beschrieb | malt | mag | vergisst | möchte | brachte | versteht | sieht | braucht
    verlor | liest | besucht | baute`,
  objects: `ein rotes Fahrrad | die Zeitung | drei Äpfel | ein altes Foto | den Schlüssel zum Haus | etwas Brot und Käse
    einen langen Brief | die Antwort | ihr Gepäck | eine Tasse Tee | das Wetter | noch eine Frage | den richtigen Weg
    warme Kleidung | diese Blumen | viel mehr Geld | ein kleines Boot | das erste Kapitel | etwas Seltsames | dieses Lied`,
  places: `in der Küche | am Bahnhof | in der Nähe des Flusses | hinter der Kirche | auf der anderen Straßenseite | bei der Arbeit
    in einem kleinen Dorf | unter der Brücke | aus den Bergen | bei seinen Eltern | auf dem Markt | im Norden des Landes
    durch das Fenster | gleich um die Ecke`,
  times: `gestern | jeden Morgen | am Abend | vor zwei Wochen | während der Ferien | in der Nacht | am Donnerstag | dieses Jahr
    nach dem Essen | vor der Sitzung | nächsten Monat | manchmal | zum letzten Mal`,
  sentences: `Ich weiß nicht, wo sie wohnt, aber ich werde sie fragen.
    Was möchten Sie zum Essen trinken?
    Wenn es morgen regnet, bleiben wir zu Hause und spielen Karten.
    In diesem Zimmer sind zu viele Leute.
    Er sagte, dass sie noch nie hier gewesen seien.
    Könnten Sie mir bitte sagen, wie ich zur Bibliothek komme?
    Der Zug fährt um halb acht ab und kommt am Nachmittag an.
    Wir haben uns seit dem letzten Sommer nicht gesehen.
    Es war der kälteste Winter, an den sich jemand erinnern konnte.
    Vielen Dank für eure Hilfe.
    Obwohl er müde war, ging er weiter, bis er das Meer erreichte.
    Das hättest du uns früher sagen sollen.
    Welches von diesen beiden Büchern gehört dir?
    Nichts ist so einfach, wie es aussieht.
    Sie sprachen über die Dinge, die ihnen wichtig sind.
    Treffen wir uns um acht vor dem Theater.
    Wie viel kostet dieses Hemd?
    Der Garten meiner Mutter ist voller Rosen und Vögel.
    Sie kann vier Sprachen sprechen, was ziemlich ungewöhnlich ist.
    Wir werden einen größeren Tisch brauchen.
    Das Wasser war so klar, dass wir den Grund sehen konnten.
    Bitte mach die Tür zu, wenn du gehst.
    Die Ergebnisse waren besser, als wir dachten.
    Wer ist der Mann da drüben mit dem Hut?
    Ich würde lieber hier bleiben, als mit ihnen zu gehen.
    Wo hast du die Schere hingelegt, und warum sagst du nichts?
    Wann macht der Laden wieder auf?
    Es war mir eine Freude, mit euch allen zu arbeiten.
    Alles, was auf dem Regal glänzt, wurde von Hand gemacht.
    Warum gibt es nur noch so wenige Stühle?
    Leg es hin, wasch dein Gesicht und zieh dich für die Schule an.
    Die meisten Wörter werden schon seit Jahrhunderten benutzt.
    Ich glaube, du könntest recht haben mit dem, was danach geschah.
    Stört es Sie, wenn ich kurz das Fenster öffne?
    Beide Kinder haben gleich viel bekommen, nicht wahr?`,
};
