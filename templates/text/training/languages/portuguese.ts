// Portuguese.

import type { LanguagePieces } from './types.ts';

export const portuguese: LanguagePieces = {
  verbSecond: false,
  subjects: `o professor | o meu irmão | a nossa vizinha | uma mulher jovem | o velho | a sua filha | a médica
    o seu melhor amigo | a prefeita da cidade | um engenheiro | toda a família | ninguém | cada um | a criança | a tua tia
    o empregado de mesa | esta empresa | o novo governo | um desconhecido | o jardineiro`,
  verbs: `compra | encontrou | procurava | quer vender | descreveu | está pintando | gosta de ver | esqueceu | gostaria de ter
    trouxe | não entende | consegue ver | precisa de encontrar | perdeu | deveria ler | visita muitas vezes | tinha construído`,
  objects: `uma bicicleta vermelha | o jornal | três maçãs | uma fotografia antiga | a chave da casa | pão com queijo
    uma carta muito longa | a resposta | a bagagem deles | uma xícara de chá | o tempo que faz | mais uma pergunta
    o caminho certo | roupas quentes | estas flores | muito mais dinheiro | um barco pequeno | o primeiro capítulo
    alguma coisa estranha | esta canção`,
  places: `na cozinha | na estação | perto do rio | atrás da igreja | do outro lado da rua | no trabalho | numa pequena aldeia
    debaixo da ponte | das montanhas | com os seus pais | no mercado | no norte do país | pela janela | ao virar da esquina`,
  times: `ontem | todas as manhãs | à noite | há duas semanas | durante as férias | de noite | na quinta-feira | este ano
    depois do jantar | antes da reunião | no próximo mês | às vezes | pela última vez`,
  sentences: `Não sei onde ela mora, mas vou perguntar-lhe.
    O que deseja beber com a refeição?
    Se chover amanhã, ficaremos em casa e jogaremos às cartas.
    Há pessoas demais nesta sala.
    Ele disse que eles nunca tinham estado aqui antes.
    Poderia me dizer como chegar à biblioteca?
    O comboio parte às sete e meia e chega à tarde.
    Não nos vemos desde o verão passado.
    Foi o inverno mais frio de que há memória.
    Muito obrigado pela vossa ajuda.
    Embora estivesse cansado, continuou a andar até chegar ao mar.
    Você devia ter nos contado antes.
    Qual destes dois livros é o teu?
    Nada é tão fácil como parece.
    Elas falavam das coisas que lhes importam.
    Vamos encontrar-nos às oito em frente ao teatro.
    Quanto custa esta camisa?
    O jardim da minha mãe está cheio de rosas e de pássaros.
    Ela fala quatro línguas, o que é bastante raro.
    Vamos precisar de uma mesa maior.
    A água estava tão clara que podíamos ver o fundo.
    Feche a porta quando sair, por favor.
    Os resultados foram melhores do que pensávamos.
    Quem é aquele homem ali com o chapéu?
    Prefiro ficar aqui a ir com eles.
    Onde puseste a tesoura, e por que não disseste nada?
    Quando é que a loja volta a abrir?
    Foi um prazer trabalhar com todos vocês.
    Tudo o que brilha naquela prateleira foi feito à mão.
    Por que restam tão poucas cadeiras?
    Larga isso, lava a cara e prepara-te para a escola.
    A maior parte dessas palavras é usada há séculos.
    Acho que talvez tenhas razão sobre o que aconteceu depois.
    Você se importa se eu abrir um pouco a janela?
    As duas crianças receberam a mesma parte, não foi?`,
};
