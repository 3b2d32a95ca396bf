### Español. What goes by SMS has no letter that GSM-7 lacks (á, í, ó, ú): a text with one costs twice as much.

language-name = Español
language-in-English = Spanish

word-more = MAS
word-clear = BORRAR
word-forget = OLVIDAME
word-language = IDIOMA

## Every channel

answer-later = Ahora mismo no puedo contestar. Tengo tu mensaje y contesto en cuanto pueda.
given-up = Lo siento, no pude contestar a tu mensaje anterior. Vuelve a enviarlo dentro de un rato.
perhaps-lost = Puede que mi mensaje anterior no te llegase completo. Si falta algo, vuelve a preguntarme.
stopped-here = me detuve aquí; escribe «continúa» y sigo
handed-over = He avisado a una persona. Te va a contestar por este medio.
nobody-there = Ahora no hay ninguna persona. Les he dejado una nota y te sigo contestando yo.
nobody-there-until = Ahora no hay ninguna persona. Vuelven: { $day }, { $time }. Les he dejado una nota y te sigo contestando yo.
unknown-answer = Eso no lo sé.
person-answers = Ahora te contesta una persona.
ai-answers = Ahora te contesta otra vez la IA.
looks-like-a-machine = Parece que se escriben dos programas, por eso dejo de contestar un rato. Si eres una persona, vuelve a escribir luego.
private = Esto es privado, por eso no puedo contestar. Pide al titular que te agregue.

cannot-answer = No puedo contestar a eso. Prueba a preguntarlo de otra manera.
question-too-long = Ese mensaje es demasiado largo para el asistente. Manda uno menos largo.
pictures-unsupported = De momento no puedo ver fotos. Cuenta con palabras lo que muestra.
voice-unsupported = Todavía no puedo escuchar mensajes de voz. Escríbelo, por favor.
video-unsupported = Todavía no puedo ver vídeos. Descríbelo con palabras, por favor.
file-unsupported = No puedo abrir eso. Descríbelo con palabras, por favor.
file-too-large = Ese archivo me resulta demasiado grande. Cuenta con palabras lo que es.
file-empty = Ese archivo llegó vacío. Envíalo otra vez, por favor.
file-lost = No pude abrir lo que enviaste. Envíalo otra vez, por favor.
voice-silent = No pude oír ninguna palabra ahí. Dilo otra vez o escríbelo, por favor.
set-up-wrongly = No pude contestar a eso. No es culpa tuya: hay algo mal configurado en mi lado.
no-usable-answer = No tuve respuesta que sirva y dejo de intentarlo. Prueba a preguntarlo de otra manera.

over-day = ¡Son muchos mensajes para hoy! Vuelve a escribir mañana.
over-minute = ¡Son muchos mensajes a la vez! Espera un minuto antes de volver a escribir.
over-spending = De momento no puedo contestar a nada nuevo. Vuelve a intentarlo mañana o pasado.
over-user-spending = Es todo lo que puedo enviarte hoy. Vuelve a escribir mañana.

name-empty = Un nombre necesita al menos una letra.
name-too-long = Ese nombre es demasiado largo: como mucho { $limit } caracteres.
name-not-one-line = Un nombre no puede llevar saltos, tabuladores ni otros caracteres de control.
name-damaged = Algunas letras de ese nombre llegaron mal.
name-reserved = { $name } tiene un significado especial y por eso no puede ser un nombre.

language-set = Hecho: desde ahora te escribo en español.
language-automatic = Hecho: desde ahora escribo en la lengua que uses.

## Operators

operator-sent = Enviado a { $name }. La IA se queda callada en ese chat.
operator-not-sent = No enviado a { $name }: { $why }.
operator-unreachable = ahora no es posible contactar
operator-handed-back = La IA contesta otra vez a { $name }.
operator-waits = Te espera: { $who }
operator-how-to-reply = Responde a este mensaje para contestar, o con /back para que siga la IA.

## SMS

sms-introduction = Soy un asistente virtual.
sms-introduction-of = Soy el asistente virtual de { $program }.
sms-contact = Contacto: { $contact }.
sms-ask-name =
    ¡Hola! { $introduction } Dime tu nombre: manda name= y tu nombre, por ejemplo: name=Juan
    Manda STOP para dejar de recibir mensajes.
sms-welcome = ¡Encantado, { $name }! Pregunta lo que quieras. Para cambiar tu nombre, manda name= y el nuevo.
sms-renamed = ¡Hecho! Desde ahora te llamo { $name }.
sms-how-to-name = Prueba de esta forma: name=Juan
sms-back = ¡Hola de nuevo! Pregunta lo que quieras.
sms-stopped = Ya no te enviaremos mensajes. Manda START para volver.
sms-help =
    Esto es un asistente virtual: manda una pregunta y contesta. Manda { word-clear } y olvida lo que escribiste, { word-forget } y olvida incluso tu nombre, { word-language } para elegir la lengua. Manda STOP para dejar de recibir mensajes.
sms-only-at = Solo respondo a mensajes de texto (SMS): envía uno al { $number }.
sms-only = Solo respondo a mensajes de texto (SMS).
sms-cleared = Hecho: he olvidado lo que escribimos. Manda { word-forget } y olvido incluso tu nombre.
sms-forgotten = Hecho: te he olvidado y todo lo que escribimos.
sms-empty-text = Tu mensaje ha llegado sin texto. Vuelve a enviarlo.
sms-too-long = Es demasiado largo: escribe menos de { $limit } caracteres.
sms-empty-answer = Lo siento, no tengo respuesta para eso. Prueba a decirlo de otra manera.
sms-cut = Cortado, demasiado largo para SMS. Pide que siga.
sms-more = Manda { word-more } para leer el resto.
sms-languages = Te escribo en español. Para otra lengua manda language= y una de { $codes }; language=auto es la que uses.

## Telegram

telegram-hello = ¡Hola, **{ $name }**!
telegram-hello-again = ¡Hola de nuevo, **{ $name }**!
telegram-welcome =
    { $hello } Soy un asistente automático: pregúntame lo que quieras.

    ¿Quieres que te llame de otra manera? Envía /setname y tu nombre. /help muestra lo que sé hacer.
telegram-welcome-group = ¡Hola! Soy un asistente automático: menciónenme o respóndanme, y contesto. /help muestra lo que sé hacer.
telegram-help = Escríbeme como a un amigo; recuerdo nuestros últimos mensajes.
telegram-unknown-command = No conozco /{ $command }. /help muestra lo que sé hacer.
telegram-renamed = ¡Gracias! Desde ahora te llamaré **{ $name }**.
telegram-bad-name = Prueba así: /setname Ana
telegram-how-to-name = Envíalo así: /setname Ana
telegram-private-name = Dime tu nombre en un chat privado conmigo, por favor.
telegram-cleared =
    { $count ->
        [0] No había nada que olvidar.
        [one] Hecho: he borrado { $count } mensaje.
       *[other] Hecho: he borrado { $count } mensajes.
    }
telegram-topic-cleared = Hecho: he borrado nuestros mensajes de este tema.
telegram-facts = **Lo que sé de ti**

    - Nombre: { $name }
    - Usuario de Telegram: { $username }
    - Chat: { $chat }
    - Visto por primera vez: { $since }
    - Mensajes guardados: { $count }

    La IA ve tu nombre y nuestros últimos intercambios, { $exchanges } como mucho. /clear borra nuestra conversación.
telegram-no-username = ninguno
telegram-edited = He visto que has editado un mensaje. Solo contesto a mensajes nuevos, así que envíalo otra vez.
telegram-empty-text = ¿Sí? Escribe tu pregunta y la contesto.
telegram-late-answer = Cuando escribiste esto no estaba disponible, por eso mi respuesta llega tarde.
telegram-nothing-to-stop = Ahora no estoy escribiendo nada.
telegram-admins-only = Eso solo pueden hacerlo los administradores de este grupo.
telegram-admins-unknown = No he podido averiguar si eres administrador aquí. Inténtalo otra vez.
telegram-cut = La respuesta era más larga; el resto se ha cortado.
telegram-empty-answer = La respuesta estaba vacía.
telegram-languages = Te escribo en **español**. Para otro idioma envía /language y su código, por ejemplo /language en:
telegram-language-automatic = el idioma que uses
telegram-press-stop = Parar
telegram-press-continue = Continuar
telegram-press-again = Otra vez
telegram-press-shorter = Más corta
telegram-press-longer = Más larga
telegram-press-forget = Borrar todo
telegram-press-keep = Cancelar
telegram-part-of-above = (Ahora forma parte de la respuesta de arriba.)
telegram-button-gone = Ese botón ya no hace nada.
telegram-button-old = Esa respuesta es demasiado antigua para cambiarla. Pregúntame otra vez y contesto de nuevo.
telegram-button-of-others = Solo quien preguntó puede usar estos botones.
telegram-forget-question = Esto borra todo lo que guardo aquí sobre ti: nuestros mensajes, tu nombre, tus ajustes. No se puede deshacer. ¿Borrar todo?
telegram-forgotten = Hecho: he borrado todo lo que guardaba aquí sobre ti.
telegram-kept = No se ha borrado nada.
telegram-please-repeat = Envíalo otra vez como mensaje nuevo, por favor.
telegram-one-model = Aquí contesta un solo modelo y no se puede elegir.
telegram-models-unknown = No he podido averiguar qué modelos hay. Inténtalo otra vez.
telegram-export-formats = Puedo escribirlo como md o json: /export json
telegram-nothing-to-export = Todavía no hay nada que exportar.
telegram-exported-you = Tú
telegram-exported-assistant = Asistente
telegram-models = **Modelos que puedes elegir**
telegram-model-now = ahora
telegram-models-more = y { $count } más
telegram-choose-model = Elige uno así: /model NOMBRE
telegram-no-such-model = No conozco ningún modelo { $name } que puedas elegir.
telegram-model-chosen = Desde ahora te contesta `{ $name }`.
telegram-usage =
    { $count ->
        [one] **Hoy** (UTC): { $count } pregunta, { $usd } $.
       *[other] **Hoy** (UTC): { $count } preguntas, { $usd } $.
    }
telegram-usage-limit = Puedes hacer { $limit } en 24 horas.
telegram-exported =
    { $count ->
        [one] Aquí está nuestra conversación: { $count } mensaje.
       *[other] Aquí está nuestra conversación: { $count } mensajes.
    }
telegram-code-in-file =
    { $count ->
        [one] El código está en el archivo **{ $name }** ({ $count } línea).
       *[other] El código está en el archivo **{ $name }** ({ $count } líneas).
    }

## WhatsApp

whatsapp-stopped = Ya no recibirás mensajes de este número. Escribe START para volver.
whatsapp-help = Soy un asistente automático: escribe una pregunta y contesto. Escribe { word-clear } y olvido lo que escribimos, { word-forget } y olvido también tu nombre, { word-language } para elegir mi idioma. Escribe STOP para dejar de recibir mensajes.
whatsapp-cleared = Hecho: he olvidado lo que escribimos. Escribe { word-forget } y olvido también tu nombre.
whatsapp-empty-text = Tu mensaje llegó vacío. Envíalo otra vez, por favor.
whatsapp-cut = Cortado aquí: demasiado largo para mensajes. Pídeme que siga.

## The demo, which answers while no AI is connected. Markdown; names of settings stay as they are

demo-hello = ¡Hola!
demo-hello-name = ¡Hola, { $name }!
demo-introduction =
    Soy la demostración de este servicio: **no una IA**, solo unas preguntas frecuentes que funcionan sin internet. Prueba:

    - «¿Qué puedes hacer?»
    - «¿Qué dije antes?»
    - «¿Cómo puedo conectar una IA?»
demo-abilities = Sin una IA puedo responder a pocas preguntas: qué es esto, cuánto cuesta, cómo conectar una IA de verdad.
demo-how-to-connect = **No soy una IA**, solo una demostración que responde con unas preguntas frecuentes. Para conectar una de verdad, pon `OPENROUTER_API_KEY` en el archivo `.env` o inicia Ollama en este equipo.
demo-nothing-earlier = Este es el primer mensaje tuyo que veo. Pregúntame más tarde otra vez: «¿Qué dije antes?»
demo-unseen = No puedo ver ni oír lo que has enviado: **no soy una IA**, solo una demostración.
demo-no-answer = No sé responder a eso: solo soy una demostración con unas preguntas frecuentes, no una IA. Pregunta «¿Qué puedes hacer?» o «¿Cómo puedo conectar una IA?»
demo-quoted = De *{ $title }*:
demo-thanks = ¡De nada!
demo-goodbye = ¡Adiós! Escríbeme cuando quieras.

## The menu of Telegram

menu-start = Saludar
menu-help = Lo que sé hacer
menu-stop = Detener la respuesta que estoy escribiendo
menu-setname = Decirme tu nombre: /setname Ana
menu-language = Elegir mi idioma
menu-clear = Olvidar nuestra conversación
menu-status = Lo que sé de ti
menu-model = Qué modelo de IA contesta
menu-usage = Lo que has usado hoy
menu-export = Nuestra conversación como archivo: /export json
menu-forget = Borrar todo lo que guardo sobre ti
menu-admin = Las cifras de este bot
