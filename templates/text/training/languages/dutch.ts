// Dutch.

import type { LanguagePieces } from './types.ts';

export const dutch: LanguagePieces = {
  verbSecond: true,
  subjects: `de leraar | mijn broer | onze buurvrouw | een jonge vrouw | de oude man | zijn dochter | de dokter
    haar beste vriend | de burgemeester van de stad | een ingenieur | het hele gezin | niemand | iedereen | het kind | jouw tante
    de ober | dit bedrijf | de nieuwe regering | een vreemdeling | de tuinman`,
  verbs: `koopt | vindt | zocht | verkoopt | beschreef | schildert | houdt van | vergeet | wil graag | bracht | begrijpt | ziet
    heeft nodig | verloor | leest | bezoekt vaak | bouwde`,
  objects: `een rode fiets | de krant | drie appels | een oude foto | de sleutel van het huis | wat brood en kaas
    een lange brief | het antwoord | hun bagage | een kopje thee | het weer | nog een vraag | de juiste weg | warme kleren
    deze bloemen | veel meer geld | een klein bootje | het eerste hoofdstuk | iets vreemds | dit liedje`,
  places: `in de keuken | op het station | dicht bij de rivier | achter de kerk | aan de overkant van de straat | op het werk
    in een klein dorp | onder de brug | uit de bergen | bij zijn ouders | op de markt | in het noorden van het land
    door het raam | om de hoek`,
  times: `gisteren | elke ochtend | 's avonds | twee weken geleden | tijdens de vakantie | 's nachts | op donderdag | dit jaar
    na het eten | voor de vergadering | volgende maand | soms | voor de laatste keer`,
  sentences: `Ik weet niet waar ze woont, maar ik zal het haar vragen.
    Wat wilt u bij het eten drinken?
    Als het morgen regent, blijven we thuis en spelen we kaart.
    Er zijn te veel mensen in deze kamer.
    Hij zei dat ze hier nog nooit waren geweest.
    Kunt u mij vertellen hoe ik bij de bibliotheek kom?
    De trein vertrekt om half acht en komt in de middag aan.
    We hebben elkaar sinds vorige zomer niet meer gezien.
    Het was de koudste winter die iemand zich kon herinneren.
    Hartelijk dank voor jullie hulp.
    Hoewel hij moe was, liep hij door tot hij bij de zee kwam.
    Dat had je ons eerder moeten vertellen.
    Welk van deze twee boeken is van jou?
    Niets is zo makkelijk als het lijkt.
    Ze spraken over de dingen die voor hen belangrijk zijn.
    Laten we elkaar om acht uur voor de schouwburg ontmoeten.
    Hoeveel kost dit overhemd?
    De tuin van mijn moeder staat vol rozen en vogels.
    Zij spreekt vier talen, wat nogal ongewoon is.
    We zullen een grotere tafel nodig hebben.
    Het water was zo helder dat we de bodem konden zien.
    Doe de deur dicht als je weggaat, alsjeblieft.
    De uitslagen waren beter dan we dachten.
    Wie is die man daar met de hoed?
    Ik blijf liever hier dan dat ik met hen meega.
    Waar heb je de schaar gelaten, en waarom zei je niets?
    Wanneer gaat de winkel weer open?
    Het was een genoegen om met jullie allemaal te werken.
    Alles wat op die plank glinstert is met de hand gemaakt.
    Waarom zijn er nog maar zo weinig stoelen over?
    Leg neer, was je gezicht en maak je klaar voor school.
    De meeste van die woorden worden al eeuwen gebruikt.
    Ik denk dat je misschien gelijk hebt over wat er daarna gebeurde.
    Vindt u het erg als ik even het raam openzet?
    Beide kinderen kregen evenveel, nietwaar?`,
};
