// French.

import type { LanguagePieces } from './types.ts';

export const french: LanguagePieces = {
  verbSecond: false,
  subjects: `le professeur | mon frère | notre voisine | une jeune femme | le vieil homme | sa fille | le médecin
    son meilleur ami | la maire de la ville | un ingénieur | toute la famille | personne | chacun | l'enfant | ta tante
    le serveur | cette entreprise | le nouveau gouvernement | un inconnu | le jardinier`,
  verbs: `achète | a trouvé | cherchait | veut vendre | a décrit | peint | aime bien | a oublié | voudrait | rapporte
    ne comprend pas | peut voir | a besoin de trouver | a perdu | devrait lire | visite souvent | avait construit`,
  objects: `un vélo rouge | le journal | trois pommes | une vieille photo | la clé de la maison | du pain et du fromage
    une longue lettre | la réponse | leurs bagages | une tasse de thé | le temps qu'il fait | une autre question | le bon chemin
    des vêtements chauds | ces fleurs | beaucoup plus d'argent | un petit bateau | le premier chapitre
    quelque chose d'étrange | cette chanson`,
  places: `dans la cuisine | à la gare | près de la rivière | derrière l'église | de l'autre côté de la rue | au travail
    dans un petit village | sous le pont | depuis la montagne | chez ses parents | au marché | dans le nord du pays
    par la fenêtre | au coin de la rue`,
  times: `hier | tous les matins | le soir | il y a deux semaines | pendant les vacances | la nuit | jeudi dernier | cette année
    après le dîner | avant la réunion | le mois prochain | parfois | pour la dernière fois`,
  sentences: `Je ne sais pas où elle habite, mais je vais lui demander.
    Qu'est-ce que vous voulez boire avec votre repas ?
    S'il pleut demain, nous resterons à la maison et jouerons aux cartes.
    Il y a trop de monde dans cette pièce.
    Il a dit qu'ils n'étaient jamais venus ici auparavant.
    Pourriez-vous me dire comment aller à la bibliothèque ?
    Le train part à sept heures et demie et arrive dans l'après-midi.
    Nous ne nous sommes pas vus depuis l'été dernier.
    C'était l'hiver le plus froid dont on se souvienne.
    Merci beaucoup pour votre aide.
    Bien qu'il fût fatigué, il continua à marcher jusqu'à la mer.
    Tu aurais dû nous le dire plus tôt.
    Lequel de ces deux livres est à toi ?
    Rien n'est aussi simple que ça en a l'air.
    Elles parlaient des choses qui comptent pour elles.
    Retrouvons-nous devant le théâtre à huit heures.
    Combien coûte cette chemise ?
    Le jardin de ma mère est plein de roses et d'oiseaux.
    Elle parle quatre langues, ce qui est assez rare.
    Nous allons avoir besoin d'une table plus grande.
    L'eau était si claire que nous pouvions voir le fond.
    Ferme la porte quand tu pars, s'il te plaît.
    Les résultats étaient meilleurs que nous ne le pensions.
    Qui est cet homme là-bas avec le chapeau ?
    Je préfère rester ici plutôt que d'aller avec eux.
    Où as-tu mis les ciseaux, et pourquoi n'as-tu rien dit ?
    Quand est-ce que le magasin rouvre ?
    Ce fut un plaisir de travailler avec vous tous.
    Tout ce qui brille sur cette étagère a été fait à la main.
    Pourquoi reste-t-il si peu de chaises ?
    Pose ça, lave-toi la figure et prépare-toi pour l'école.
    La plupart de ces mots sont utilisés depuis des siècles.
    Je crois que tu as peut-être raison sur ce qui s'est passé ensuite.
    Est-ce que cela vous dérange si j'ouvre la fenêtre ?
    Les deux enfants ont reçu la même part, n'est-ce pas ?`,
};
