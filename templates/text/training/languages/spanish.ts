// Spanish.

import type { LanguagePieces } from './types.ts';

export const spanish: LanguagePieces = {
  verbSecond: false,
  subjects: `el profesor | mi hermano | nuestra vecina | una mujer joven | el viejo | su hija | la médica | su mejor amigo
    la alcaldesa de la ciudad | un ingeniero | toda la familia | nadie | cada uno | el niño | tu tía | el camarero
    esta empresa | el nuevo gobierno | un desconocido | el jardinero`,
  verbs: `compra | ha encontrado | buscaba | quiere vender | describió | pinta | prefiere | ha olvidado | quisiera | trajo
    no entiende | puede ver | necesita | perdió | debería leer | visita a menudo | había construido`,
  objects: `una bicicleta roja | el periódico | tres manzanas | una fotografía antigua | la llave de la casa | pan y queso
    una carta muy larga | la respuesta | su equipaje | una taza de té | el tiempo que hace | otra pregunta | el buen camino
    ropa de abrigo | estas flores | mucho más dinero | un barco pequeño | el primer capítulo | algo extraño | esta canción`,
  places: `en la cocina | en la estación | cerca del río | detrás de la iglesia | al otro lado de la calle | en el trabajo
    en un pueblo pequeño | debajo del puente | desde las montañas | con sus padres | en el mercado | en el norte del país
    por la ventana | a la vuelta de la esquina`,
  times: `ayer | cada mañana | por la noche | hace dos semanas | durante las vacaciones | de noche | el jueves | este año
    después de la cena | antes de la reunión | el mes que viene | a veces | por última vez`,
  sentences: `No sé dónde vive, pero voy a preguntarle.
    ¿Qué quiere usted beber con la comida?
    Si llueve mañana, nos quedaremos en casa y jugaremos a las cartas.
    Hay demasiada gente en esta habitación.
    Dijo que nunca habían estado aquí antes.
    ¿Podría decirme cómo llegar a la biblioteca?
    El tren sale a las siete y media y llega por la tarde.
    No nos hemos visto desde el verano pasado.
    Fue el invierno más frío que se recuerda.
    Muchas gracias por vuestra ayuda.
    Aunque estaba cansado, siguió caminando hasta llegar al mar.
    Tendrías que habérnoslo dicho antes.
    ¿Cuál de estos dos libros es tuyo?
    Nada es tan fácil como parece.
    Hablaban de las cosas que les importan.
    Quedamos a las ocho delante del teatro.
    ¿Cuánto cuesta esta camisa?
    El jardín de mi madre está lleno de rosas y de pájaros.
    Ella habla cuatro idiomas, lo que es bastante raro.
    Vamos a necesitar una mesa más grande.
    El agua estaba tan clara que podíamos ver el fondo.
    Cierra la puerta cuando te vayas, por favor.
    Los resultados fueron mejores de lo que pensábamos.
    ¿Quién es aquel hombre del sombrero?
    Prefiero quedarme aquí a irme con ellos.
    ¿Dónde pusiste las tijeras, y por qué no dijiste nada?
    ¿Cuándo vuelve a abrir la tienda?
    Ha sido un placer trabajar con todos ustedes.
    Todo lo que brilla en ese estante está hecho a mano.
    ¿Por qué quedan tan pocas sillas?
    Deja eso, lávate la cara y prepárate para ir al colegio.
    La mayoría de esas palabras se usan desde hace siglos.
    Creo que quizás tengas razón en lo que pasó luego.
    ¿Le molesta si abro un rato la ventana?
    Los dos niños recibieron lo mismo, ¿verdad?`,
};
