// Italian.

import type { LanguagePieces } from './types.ts';

export const italian: LanguagePieces = {
  verbSecond: false,
  subjects: `il professore | mio fratello | la nostra vicina | una giovane donna | il vecchio | sua figlia | il medico
    il suo migliore amico | la sindaca della città | un ingegnere | tutta la famiglia | nessuno | ognuno | il bambino | tua zia
    il cameriere | questa azienda | il nuovo governo | uno sconosciuto | il giardiniere`,
  verbs: `compra | ha trovato | cercava | vuole vendere | ha descritto | dipinge | preferisce | ha dimenticato | vorrebbe
    ha riportato | non capisce | può vedere | deve trovare | ha perso | dovrebbe leggere | visita spesso | aveva costruito`,
  objects: `una bicicletta rossa | il giornale | tre mele | una vecchia fotografia | la chiave di casa | del pane e del formaggio
    una lunga lettera | la risposta | i loro bagagli | una tazza di tè | che tempo fa | un'altra domanda | la strada giusta
    dei vestiti caldi | questi fiori | molti più soldi | una piccola barca | il primo capitolo | qualcosa di strano
    questa canzone`,
  places: `in cucina | alla stazione | vicino al fiume | dietro la chiesa | dall'altra parte della strada | al lavoro
    in un piccolo paese | sotto il ponte | dalle montagne | dai suoi genitori | al mercato | nel nord del paese
    dalla finestra | dietro l'angolo`,
  times: `ieri | ogni mattina | la sera | due settimane fa | durante le vacanze | di notte | giovedì scorso | quest'anno
    dopo cena | prima della riunione | il mese prossimo | qualche volta | per l'ultima volta`,
  sentences: `Non so dove abita, ma glielo chiederò.
    Che cosa desidera bere con il pasto?
    Se domani piove, resteremo a casa e giocheremo a carte.
    Ci sono troppe persone in questa stanza.
    Ha detto che non erano mai stati qui prima.
    Potrebbe dirmi come si arriva alla biblioteca?
    Il treno parte alle sette e mezza e arriva nel pomeriggio.
    Non ci vediamo dalla scorsa estate.
    È stato l'inverno più freddo che si ricordi.
    Grazie mille per il vostro aiuto.
    Anche se era stanco, continuò a camminare fino al mare.
    Avresti dovuto dircelo prima.
    Quale di questi due libri è tuo?
    Niente è così facile come sembra.
    Parlavano delle cose che gli stanno a cuore.
    Troviamoci alle otto davanti al teatro.
    Quanto costa questa camicia?
    Il giardino di mia madre è pieno di rose e di uccelli.
    Lei parla quattro lingue, il che è piuttosto raro.
    Avremo bisogno di un tavolo più grande.
    L'acqua era così limpida che si vedeva il fondo.
    Chiudi la porta quando esci, per favore.
    I risultati sono stati migliori di quanto pensassimo.
    Chi è quell'uomo laggiù con il cappello?
    Preferisco restare qui piuttosto che andare con loro.
    Dove hai messo le forbici, e perché non hai detto niente?
    Quando riapre il negozio?
    È stato un piacere lavorare con tutti voi.
    Tutto ciò che luccica su quello scaffale è fatto a mano.
    Perché sono rimaste così poche sedie?
    Lascia stare, lavati la faccia e preparati per la scuola.
    La maggior parte di quelle parole si usa da secoli.
    Credo che tu possa avere ragione su quello che è successo dopo.
    Le dispiace se apro un attimo la finestra?
    I due bambini hanno ricevuto la stessa parte, vero?`,
};
