### Português. What goes by SMS has no letter that GSM-7 lacks (ã, á, ç, ê, í, ó, ú): a text with one costs twice as much.

language-name = Português
language-in-English = Portuguese

word-more = MAIS
word-clear = APAGAR
word-forget = ME ESQUECE
word-language = IDIOMA

## Every channel

answer-later = Vou demorar um pouco para responder. Recebi a sua mensagem e respondo assim que puder.
given-up = Desculpe, a sua mensagem anterior ficou sem resposta. Envie de novo mais tarde, por favor.
perhaps-lost = Talvez a minha mensagem anterior tenha chegado incompleta. Se faltar algo, pergunte de novo.
stopped-here = parei aqui; escreva “continue” e eu sigo
handed-over = Avisei uma pessoa. Ela vai responder por aqui.
nobody-there = Agora ninguém pode atender. Deixei um recado e sigo respondendo por aqui.
nobody-there-until = Agora ninguém pode atender. De volta: { $day }, { $time }. Deixei um recado e sigo respondendo por aqui.
unknown-answer = Isso eu desconheço.
person-answers = Agora uma pessoa responde a você.
ai-answers = Agora a IA responde de novo.
looks-like-a-machine = Parece conversa entre dois programas, por isso paro de responder por um tempo. Se é uma pessoa, escreva mais tarde.
private = Este contato é particular, por isso deixo de responder. Fale com o dono para ser adicionado.

cannot-answer = Isso eu deixo sem resposta. Tente perguntar de outra forma.
question-too-long = Essa mensagem é longa demais para mim. Envie uma mais curta.
pictures-unsupported = Por enquanto leio apenas texto. Descreva a imagem com palavras.
voice-unsupported = Ainda não consigo ouvir mensagens de voz. Escreva, por favor.
video-unsupported = Ainda não consigo ver vídeos. Descreva com palavras, por favor.
file-unsupported = Não consigo abrir isso. Descreva com palavras, por favor.
file-too-large = Esse arquivo é grande demais para mim. Descreva com palavras, por favor.
file-empty = Esse arquivo chegou vazio. Envie de novo, por favor.
file-lost = Não consegui abrir o que você enviou. Envie de novo, por favor.
voice-silent = Não ouvi nenhuma palavra. Diga de novo ou escreva, por favor.
set-up-wrongly = Fiquei sem resposta. A culpa é minha: algo foi mal configurado do meu lado.
no-usable-answer = Fiquei sem uma resposta que sirva e parei de tentar. Tente perguntar de outra forma.

over-day = Foram muitas mensagens para um dia! Volte a escrever no dia seguinte.
over-minute = Foram muitas mensagens de uma vez! Espere um minuto antes de escrever de novo.
over-spending = Por enquanto paro de responder. Tente de novo em outro dia.
over-user-spending = É tudo o que posso enviar hoje. Volte a escrever no dia seguinte.

name-empty = Um nome precisa de pelo menos uma letra.
name-too-long = Esse nome é longo demais: use até { $limit } caracteres.
name-not-one-line = Um nome deve caber em uma linha, sem quebras, tabuladores e outros caracteres de controle.
name-damaged = Algumas letras desse nome chegaram danificadas.
name-reserved = Desculpe, { $name } tem um significado especial aqui. Escolha outro nome.

language-set = Pronto: a partir de agora escrevo em português.
language-automatic = Pronto: a partir de agora escrevo no idioma que usar.

## Operators

operator-sent = Enviado para { $name }. A IA fica calada nesse chat.
operator-not-sent = Sem envio para { $name }: { $why }.
operator-unreachable = agora sem contato possível
operator-handed-back = A IA responde de novo a { $name }.
operator-waits = Espera por você: { $who }
operator-how-to-reply = Responda a esta mensagem para escrever, ou com /back para a IA seguir.

## SMS

sms-introduction = Sou um assistente virtual.
sms-introduction-of = Sou o assistente virtual de { $program }.
sms-contact = Contato: { $contact }.
sms-ask-name =
    Oi! { $introduction } Qual é o seu nome? Envie name= e o seu nome, por exemplo: name=Maria
    Envie STOP para parar de receber mensagens.
sms-welcome = Prazer, { $name }! Pergunte o que quiser. Para mudar de nome, envie name= e o novo.
sms-renamed = Pronto! De agora em diante o seu nome aqui é { $name }.
sms-how-to-name = Tente assim: name=Maria
sms-back = Que bom que voltou! Pergunte o que quiser.
sms-stopped = Este contato para de enviar mensagens. Envie START para voltar.
sms-help =
    Este é um assistente virtual: envie uma pergunta e ele responde. Envie { word-clear } e ele esquece o que escreveu, { word-forget } e o nome também, { word-language } para escolher o idioma. Envie STOP para parar de receber mensagens.
sms-only-at = Só respondo a mensagens de texto (SMS): envie uma para { $number }.
sms-only = Só respondo a mensagens de texto (SMS).
sms-cleared = Pronto: esqueci o que escrevemos. Envie { word-forget } e o seu nome vai junto.
sms-forgotten = Pronto: esqueci o seu nome e tudo o que escrevemos.
sms-empty-text = A sua mensagem chegou vazia. Envie de novo, por favor.
sms-too-long = É longo demais para mim: use menos de { $limit } caracteres.
sms-empty-answer = Desculpe, fiquei sem resposta para isso. Tente dizer de outra forma.
sms-cut = Cortado aqui: longo demais para SMS. Pode pedir que eu continue.
sms-more = Envie { word-more } para ler o resto.
sms-languages = Para outro idioma, envie language= e um destes: { $codes }; language=auto segue o seu.

## Telegram

telegram-hello = Olá, **{ $name }**!
telegram-hello-again = Que bom que voltou, **{ $name }**!
telegram-welcome =
    { $hello } Sou um assistente automático: pergunte o que quiser.

    Quer que eu use outro nome? Envie /setname e o seu nome. /help mostra o que sei fazer.
telegram-welcome-group = Olá! Sou um assistente automático: mencionem ou respondam a mim, e eu respondo. /help mostra o que sei fazer.
telegram-help = Escreva como a um amigo; eu me lembro das nossas últimas mensagens.
telegram-unknown-command = Não conheço /{ $command }. /help mostra o que sei fazer.
telegram-renamed = Obrigado! De agora em diante uso o nome **{ $name }**.
telegram-bad-name = Tente assim: /setname Maria
telegram-how-to-name = Envie assim: /setname Maria
telegram-private-name = Diga o seu nome em uma conversa particular comigo, por favor.
telegram-cleared =
    { $count ->
        [0] Não havia nada para esquecer.
        [one] Pronto: apaguei { $count } mensagem.
       *[other] Pronto: apaguei { $count } mensagens.
    }
telegram-topic-cleared = Pronto: apaguei as nossas mensagens neste tópico.
telegram-facts = **O que sei sobre você**

    - Nome: { $name }
    - Usuário no Telegram: { $username }
    - Conversa: { $chat }
    - Visto pela primeira vez: { $since }
    - Mensagens guardadas: { $count }

    A IA vê o seu nome e as nossas últimas trocas, no máximo { $exchanges }. /clear apaga a nossa conversa.
telegram-no-username = nenhum
telegram-edited = Vi que você editou uma mensagem. Só respondo a mensagens novas, então envie de novo, por favor.
telegram-empty-text = Sim? Escreva a sua pergunta e eu respondo.
telegram-late-answer = Quando você escreveu isto eu não estava disponível, por isso a resposta chega tarde.
telegram-nothing-to-stop = Não estou escrevendo nada agora.
telegram-admins-only = Só os administradores deste grupo podem fazer isso.
telegram-admins-unknown = Não consegui descobrir se você é administrador aqui. Tente de novo, por favor.
telegram-cut = A resposta era mais longa; o resto foi cortado.
telegram-empty-answer = A resposta estava vazia.
telegram-languages = Escrevo em **português**. Para outro idioma, envie /language e o código, por exemplo /language en:
telegram-language-automatic = o idioma que você usar
telegram-press-stop = Parar
telegram-press-continue = Continuar
telegram-press-again = De novo
telegram-press-shorter = Mais curta
telegram-press-longer = Mais longa
telegram-press-forget = Apagar tudo
telegram-press-keep = Cancelar
telegram-part-of-above = (Isto agora faz parte da resposta acima.)
telegram-button-gone = Esse botão não faz mais nada.
telegram-button-old = Essa resposta é antiga demais para mudar. Pergunte de novo e eu respondo outra vez.
telegram-button-of-others = Só quem perguntou pode usar estes botões.
telegram-forget-question = Isto apaga tudo o que guardo aqui sobre você: as nossas mensagens, o seu nome, as suas configurações. Não pode ser desfeito. Apagar tudo?
telegram-forgotten = Pronto: apaguei tudo o que guardava aqui sobre você.
telegram-kept = Nada foi apagado.
telegram-please-repeat = Envie isso de novo como uma mensagem nova, por favor.
telegram-one-model = Aqui responde um só modelo, e não é possível escolher.
telegram-models-unknown = Não consegui descobrir quais modelos existem. Tente de novo, por favor.
telegram-export-formats = Posso escrever como md ou json: /export json
telegram-nothing-to-export = Ainda não há nada para exportar.
telegram-exported-you = Você
telegram-exported-assistant = Assistente
telegram-models = **Modelos que você pode escolher**
telegram-model-now = agora
telegram-models-more = e mais { $count }
telegram-choose-model = Escolha um assim: /model NOME
telegram-no-such-model = Não conheço nenhum modelo { $name } que você possa escolher.
telegram-model-chosen = De agora em diante `{ $name }` responde a você.
telegram-usage =
    { $count ->
        [one] **Hoje** (UTC): { $count } pergunta, { $usd } $.
       *[other] **Hoje** (UTC): { $count } perguntas, { $usd } $.
    }
telegram-usage-limit = Você pode fazer { $limit } em 24 horas.
telegram-exported =
    { $count ->
        [one] Aqui está a nossa conversa: { $count } mensagem.
       *[other] Aqui está a nossa conversa: { $count } mensagens.
    }
telegram-code-in-file =
    { $count ->
        [one] O código está no arquivo **{ $name }** ({ $count } linha).
       *[other] O código está no arquivo **{ $name }** ({ $count } linhas).
    }

## WhatsApp

whatsapp-stopped = Você não receberá mais mensagens deste número. Escreva START para voltar.
whatsapp-help = Sou um assistente automático: escreva uma pergunta e eu respondo. Escreva { word-clear } e esqueço o que escrevemos, { word-forget } e o seu nome também, { word-language } para escolher o idioma. Escreva STOP para não receber mais mensagens.
whatsapp-cleared = Pronto: esqueci o que escrevemos. Escreva { word-forget } e esqueço também o seu nome.
whatsapp-empty-text = A sua mensagem chegou vazia. Envie de novo, por favor.
whatsapp-cut = Cortado aqui: longo demais para mensagens. Peça que eu continue.

## The demo, which answers while no AI is connected. Markdown; names of settings stay as they are

demo-hello = Olá!
demo-hello-name = Olá, { $name }!
demo-introduction =
    Sou a demonstração deste serviço: **não uma IA**, só algumas perguntas frequentes que funcionam sem internet. Experimente:

    - “O que você sabe fazer?”
    - “O que eu disse antes?”
    - “Como conectar uma IA?”
demo-abilities = Sem uma IA, respondo a poucas perguntas: o que é isto, quanto custa, como conectar uma IA de verdade.
demo-how-to-connect = **Não sou uma IA**, só uma demonstração que responde com algumas perguntas frequentes. Para conectar uma de verdade, defina `OPENROUTER_API_KEY` no arquivo `.env` ou inicie o Ollama nesta máquina.
demo-nothing-earlier = Esta é a primeira mensagem sua que eu vejo. Pergunte de novo mais tarde: “O que eu disse antes?”
demo-unseen = Não consigo ver nem ouvir o que você enviou: **não sou uma IA**, só uma demonstração.
demo-no-answer = Não sei responder a isso: sou só uma demonstração com algumas perguntas frequentes, não uma IA. Pergunte “O que você sabe fazer?” ou “Como conectar uma IA?”
demo-quoted = De *{ $title }*:
demo-thanks = De nada!
demo-goodbye = Até logo! Escreva quando quiser.

## The menu of Telegram

menu-start = Dizer olá
menu-help = O que sei fazer
menu-stop = Parar a resposta que estou escrevendo
menu-setname = Dizer o seu nome: /setname Maria
menu-language = Escolher o meu idioma
menu-clear = Esquecer a nossa conversa
menu-status = O que sei sobre você
menu-model = Qual modelo de IA responde
menu-usage = O que você usou hoje
menu-export = A nossa conversa em arquivo: /export json
menu-forget = Apagar tudo o que guardo sobre você
menu-admin = Os números deste bot
