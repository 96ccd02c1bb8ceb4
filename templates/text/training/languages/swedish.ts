// Swedish.

import type { LanguagePieces } from './types.ts';

export const swedish: LanguagePieces = {
  verbSecond: true,
  subjects: `läraren | min bror | vår granne | en ung kvinna | den gamle mannen | hans dotter | läkaren | hennes bästa vän
    stadens borgmästare | en ingenjör | hela familjen | ingen | alla | barnet | din moster | servitören | det här företaget
    den nya regeringen | en främling | trädgårdsmästaren`,
  verbs: `köper | hittade | letade efter | vill sälja | beskrev | målar | tycker om | har glömt | skulle vilja ha | hämtade
    förstår inte | kan se | behöver | förlorade | borde läsa | besöker ofta | hade byggt`,
  objects: `en röd cykel | tidningen | tre äpplen | ett gammalt fotografi | nyckeln till huset | lite bröd och ost
    ett långt brev | svaret | deras bagage | en kopp te | vädret | en fråga till | rätt väg | varma kläder | de här blommorna
    mycket mer pengar | en liten båt | det första kapitlet | något konstigt | den här sången`,
  places: `i köket | på stationen | nära floden | bakom kyrkan | på andra sidan gatan | på jobbet | i en liten by | under bron
    från bergen | hos sina föräldrar | på torget | i norra delen av landet | genom fönstret | runt hörnet`,
  times: `i går | varje morgon | på kvällen | för två veckor sedan | under semestern | på natten | på torsdag | i år
    efter middagen | före mötet | nästa månad | ibland | för sista gången`,
  sentences: `Jag vet inte var hon bor, men jag ska fråga henne.
    Vad vill ni dricka till maten?
    Om det regnar i morgon stannar vi hemma och spelar kort.
    Det är för många människor i det här rummet.
    Han sa att de aldrig hade varit här förut.
    Kan du säga mig hur man kommer till biblioteket?
    Tåget går klockan halv åtta och kommer fram på eftermiddagen.
    Vi har inte setts sedan förra sommaren.
    Det var den kallaste vintern som någon kunde minnas.
    Tack så mycket för hjälpen.
    Fastän han var trött fortsatte han att gå tills han kom till havet.
    Det borde du ha sagt till oss tidigare.
    Vilken av de här två böckerna är din?
    Ingenting är så lätt som det ser ut.
    De talade om sådant som är viktigt för dem.
    Vi träffas utanför teatern klockan åtta.
    Hur mycket kostar den här skjortan?
    Min mammas trädgård är full av rosor och fåglar.
    Hon kan fyra språk, vilket är ganska ovanligt.
    Vi kommer att behöva ett större bord.
    Vattnet var så klart att vi kunde se botten.
    Stäng dörren när du går, är du snäll.
    Resultaten blev bättre än vi trodde.
    Vem är mannen där borta med hatten?
    Jag stannar hellre här än följer med dem.
    Var lade du saxen, och varför sa du ingenting?
    När öppnar affären igen?
    Det har varit ett nöje att arbeta med er alla.
    Allt som glänser på den hyllan är gjort för hand.
    Varför finns det så få stolar kvar?
    Lägg ner det, tvätta ansiktet och gör dig redo för skolan.
    De flesta av orden har använts i hundratals år.
    Jag tror att du kan ha rätt om vad som hände sedan.
    Gör det något om jag öppnar fönstret en stund?
    Båda barnen fick lika mycket, eller hur?`,
};
