### Français. What goes by SMS has no letter that GSM-7 lacks (ç, â, ê, î, ô, û): a text with one costs twice as much.

language-name = Français
language-in-English = French

word-more = SUITE
word-clear = EFFACER
word-forget = OUBLIEZ-MOI
word-language = LANGUE

## Every channel

answer-later = Je ne peux pas répondre maintenant. J'ai bien votre message et je réponds dès que possible.
given-up = Désolé, je n'ai pas pu répondre à votre dernier message. Veuillez le renvoyer plus tard.
perhaps-lost = Il se peut que mon dernier message ne soit pas arrivé en entier. S'il manque quelque chose, redemandez-moi.
stopped-here = arrêté ici ; écrivez « continue » et je continue
handed-over = J'ai prévenu une personne. Elle vous répondra ici.
nobody-there = Personne n'est là pour le moment. J'ai laissé une note et je continue de vous répondre.
nobody-there-until = Personne n'est là pour le moment. De retour : { $day }, { $time }. J'ai laissé une note et je continue de vous répondre.
unknown-answer = Je ne le sais pas.
person-answers = Une personne vous répond maintenant.
ai-answers = L'IA vous répond de nouveau.
looks-like-a-machine = On dirait deux machines qui se parlent, j'arrête donc de répondre un moment. Si vous êtes une personne, écrivez-moi plus tard.
private = Cette ligne est privée, je ne peux donc pas répondre. Demandez à son titulaire de vous ajouter.

cannot-answer = Je ne peux pas répondre à cela. Essayez de poser la question autrement.
question-too-long = Ce message est trop long pour moi. Envoyez-en un plus court.
pictures-unsupported = Je ne peux pas encore regarder les images. Décrivez-la avec des mots.
voice-unsupported = Je ne peux pas encore écouter les messages vocaux. Merci de l'écrire.
video-unsupported = Je ne peux pas encore regarder les vidéos. Merci de la décrire avec des mots.
file-unsupported = Je ne peux pas ouvrir cela. Merci de le décrire avec des mots.
file-too-large = Ce fichier est trop volumineux pour moi. Merci de le décrire avec des mots.
file-empty = Ce fichier est arrivé vide. Merci de le renvoyer.
file-lost = Je n'ai pas pu ouvrir votre envoi. Merci de le renvoyer.
voice-silent = Je n'y ai entendu aucun mot. Merci de le redire ou de l'écrire.
set-up-wrongly = Je n'ai pas pu répondre à cela. Vous n'y pouvez rien : il y a chez moi un mauvais réglage.
no-usable-answer = Je n'ai obtenu aucune réponse utilisable et j'ai cessé d'essayer. Posez la question autrement.

over-day = Cela fait beaucoup de messages pour un jour ! Réécrivez-moi demain.
over-minute = Cela fait beaucoup de messages à la fois ! Attendez une minute avant de réécrire.
over-spending = Je ne peux plus répondre pour le moment. Réessayez un autre jour.
over-user-spending = C'est tout ce que je peux vous envoyer aujourd'hui. Réécrivez-moi demain.

name-empty = Un nom a besoin d'au moins une lettre.
name-too-long = Ce nom est trop long : { $limit } signes au plus.
name-not-one-line = Un nom doit tenir sur une ligne, sans saut de ligne, tabulation ni autre signe de commande.
name-damaged = Certaines lettres de ce nom sont mal arrivées.
name-reserved = { $name } a ici un sens particulier et ne peut pas servir de nom.

language-set = C'est fait : désormais je vous écris en français.
language-automatic = C'est fait : désormais j'écris dans la langue que vous utilisez.

## Operators

operator-sent = Envoyé à { $name }. L'IA s'y tait.
operator-not-sent = Non envoyé à { $name } : { $why }.
operator-unreachable = injoignable pour le moment
operator-handed-back = L'IA répond de nouveau à { $name }.
operator-waits = Attend votre réponse : { $who }
operator-how-to-reply = Répondez à ce message pour lui écrire, ou par /back pour que l'IA continue.

## SMS

sms-introduction = Ici un assistant automatique.
sms-introduction-of = Ici { $program }, un assistant automatique.
sms-contact = Contact : { $contact }.
sms-ask-name =
    Bonjour ! { $introduction } Quel est votre nom ? Envoyez name= et votre nom, par exemple : name=Marie
    Envoyez STOP pour ne plus recevoir de SMS.
sms-welcome = Enchanté, { $name } ! Posez-moi vos questions. Pour changer de nom, envoyez name= et le nouveau.
sms-renamed = C'est fait ! Je vous appelle { $name } désormais.
sms-how-to-name = Essayez ainsi : name=Marie
sms-back = Bon retour ! Posez-moi vos questions.
sms-stopped = Vous ne recevrez plus de SMS de ce numéro. Envoyez START pour revenir.
sms-help =
    Ici un assistant automatique : envoyez une question et il répond. Avec { word-clear } il oublie vos messages, avec { word-forget } votre nom aussi, avec { word-language } vous choisissez sa langue. Envoyez STOP pour ne plus recevoir de SMS.
sms-only-at = Je ne réponds qu'aux SMS : envoyez-en un au { $number }.
sms-only = Je ne réponds qu'aux SMS.
sms-cleared = C'est fait : j'ai oublié nos messages. Envoyez { word-forget } et j'oublie aussi votre nom.
sms-forgotten = C'est fait : je vous ai oublié, et nos messages aussi.
sms-empty-text = Votre SMS est arrivé vide. Veuillez le renvoyer.
sms-too-long = C'est trop long pour moi : restez sous { $limit } signes.
sms-empty-answer = Désolé, je n'ai pas de réponse à cela. Essayez de le dire autrement.
sms-cut = Coupé ici : trop long pour des SMS. Demandez-moi de continuer.
sms-more = Envoyez { word-more } pour le reste.
sms-languages = Pour une autre langue, envoyez language= et un de ces codes : { $codes } ; language=auto est celle que vous utilisez.

## Telegram

telegram-hello = Bonjour, **{ $name }** !
telegram-hello-again = Bon retour, **{ $name }** !
telegram-welcome =
    { $hello } Je suis un assistant automatique : demandez-moi ce que vous voulez.

    Dois-je vous appeler autrement ? Envoyez /setname et votre nom. /help montre ce que je sais faire.
telegram-welcome-group = Bonjour ! Je suis un assistant automatique : mentionnez-moi ou répondez-moi, et je réponds. /help montre ce que je sais faire.
telegram-help = Écrivez-moi comme à un ami ; je me souviens de nos derniers messages.
telegram-unknown-command = Je ne connais pas /{ $command }. /help montre ce que je sais faire.
telegram-renamed = Merci ! Désormais je vous appelle **{ $name }**.
telegram-bad-name = Essayez ainsi : /setname Marie
telegram-how-to-name = Envoyez-le ainsi : /setname Marie
telegram-private-name = Dites-moi votre nom dans une discussion privée avec moi, s'il vous plaît.
telegram-cleared =
    { $count ->
        [0] Il n'y avait rien à oublier.
        [one] C'est fait : j'ai supprimé { $count } message.
       *[other] C'est fait : j'ai supprimé { $count } messages.
    }
telegram-topic-cleared = C'est fait : j'ai supprimé nos messages de ce sujet.
telegram-facts = **Ce que je sais de vous**

    - Nom : { $name }
    - Nom d'utilisateur Telegram : { $username }
    - Discussion : { $chat }
    - Première visite : { $since }
    - Messages gardés : { $count }

    L'IA voit votre nom et nos derniers échanges, { $exchanges } au plus. /clear supprime notre conversation.
telegram-no-username = aucun
telegram-edited = J'ai vu que vous avez modifié un message. Je ne réponds qu'aux nouveaux, veuillez donc le renvoyer.
telegram-empty-text = Oui ? Écrivez votre question et j'y réponds.
telegram-late-answer = Je n'étais pas joignable quand vous avez écrit ceci, ma réponse arrive donc tard.
telegram-nothing-to-stop = Je n'écris rien en ce moment.
telegram-admins-only = Seuls les administrateurs de ce groupe peuvent faire cela.
telegram-admins-unknown = Je n'ai pas pu savoir si vous êtes administrateur ici. Veuillez réessayer.
telegram-cut = La réponse était plus longue ; le reste a été coupé.
telegram-empty-answer = La réponse était vide.
telegram-languages = Je vous écris en **français**. Pour une autre langue, envoyez /language et son code, par exemple /language en :
telegram-language-automatic = la langue que vous utilisez
telegram-press-stop = Arrêter
telegram-press-continue = Continuer
telegram-press-again = Encore
telegram-press-shorter = Plus court
telegram-press-longer = Plus long
telegram-press-forget = Tout supprimer
telegram-press-keep = Annuler
telegram-part-of-above = (Ceci fait maintenant partie de la réponse ci-dessus.)
telegram-button-gone = Ce bouton ne fait plus rien.
telegram-button-old = Cette réponse est trop ancienne pour être modifiée. Redemandez-moi, et je réponds à nouveau.
telegram-button-of-others = Seule la personne qui a demandé peut utiliser ces boutons.
telegram-forget-question = Cela supprime tout ce que je garde ici sur vous : nos messages, votre nom, vos réglages. C'est irréversible. Tout supprimer ?
telegram-forgotten = C'est fait : j'ai supprimé tout ce que je gardais ici sur vous.
telegram-kept = Rien n'a été supprimé.
telegram-please-repeat = Renvoyez cela dans un nouveau message, s'il vous plaît.
telegram-one-model = Un seul modèle répond ici, il ne peut pas être choisi.
telegram-models-unknown = Je n'ai pas pu savoir quels modèles existent. Veuillez réessayer.
telegram-export-formats = Je peux l'écrire en md ou json : /export json
telegram-nothing-to-export = Il n'y a encore rien à exporter.
telegram-exported-you = Vous
telegram-exported-assistant = Assistant
telegram-models = **Modèles au choix**
telegram-model-now = actuel
telegram-models-more = et { $count } de plus
telegram-choose-model = Choisissez-en un ainsi : /model NOM
telegram-no-such-model = Je ne connais aucun modèle { $name } au choix.
telegram-model-chosen = Désormais `{ $name }` vous répond.
telegram-usage =
    { $count ->
        [one] **Aujourd'hui** (UTC) : { $count } question, { $usd } $.
       *[other] **Aujourd'hui** (UTC) : { $count } questions, { $usd } $.
    }
telegram-usage-limit = Vous pouvez en poser { $limit } en 24 heures.
telegram-exported =
    { $count ->
        [one] Voici notre conversation : { $count } message.
       *[other] Voici notre conversation : { $count } messages.
    }
telegram-code-in-file =
    { $count ->
        [one] Le code est dans le fichier **{ $name }** ({ $count } ligne).
       *[other] Le code est dans le fichier **{ $name }** ({ $count } lignes).
    }

## WhatsApp

whatsapp-stopped = Vous ne recevrez plus de messages de ce numéro. Écrivez START pour revenir.
whatsapp-help = Je suis un assistant automatique : écrivez une question et je réponds. Avec { word-clear } j'oublie nos messages, avec { word-forget } votre nom aussi, avec { word-language } vous choisissez ma langue. Écrivez STOP pour ne plus recevoir de messages.
whatsapp-cleared = C'est fait : j'ai oublié nos messages. Écrivez { word-forget } et j'oublie aussi votre nom.
whatsapp-empty-text = Votre message est arrivé vide. Veuillez le renvoyer.
whatsapp-cut = Coupé ici : trop long pour des messages. Demandez-moi de continuer.

## The demo, which answers while no AI is connected. Markdown; names of settings stay as they are

demo-hello = Bonjour !
demo-hello-name = Bonjour { $name } !
demo-introduction =
    Je suis la démo de ce service : **pas une IA**, seulement une courte FAQ qui fonctionne sans internet. Essayez :

    - « Que sais-tu faire ? »
    - « Qu'ai-je dit ? »
    - « Comment connecter une IA ? »
demo-abilities = Sans IA, je peux répondre à quelques questions : ce que c'est, ce que cela coûte, comment connecter une vraie IA.
demo-how-to-connect = Je ne suis **pas une IA**, seulement une démo qui répond à partir d'une courte FAQ. Pour en connecter une vraie, indiquez `OPENROUTER_API_KEY` dans le fichier `.env`, ou démarrez Ollama sur cette machine.
demo-nothing-earlier = C'est le premier message de vous que je vois. Redemandez-moi plus tard : « Qu'ai-je dit ? »
demo-unseen = Je ne peux ni voir ni entendre ce que vous avez joint : je ne suis **pas une IA**, seulement une démo.
demo-no-answer = Je ne peux pas répondre à cela : je ne suis qu'une démo avec une courte FAQ, pas une IA. Demandez « Que sais-tu faire ? » ou « Comment connecter une IA ? »
demo-quoted = Extrait de *{ $title }* :
demo-thanks = Je vous en prie !
demo-goodbye = Au revoir ! Écrivez-moi quand vous voulez.

## The menu of Telegram

menu-start = Dire bonjour
menu-help = Ce que je sais faire
menu-stop = Arrêter la réponse que j'écris
menu-setname = Me dire votre nom : /setname Marie
menu-language = Choisir ma langue
menu-clear = Oublier notre conversation
menu-status = Ce que je sais de vous
menu-model = Quel modèle d'IA répond
menu-usage = Ce que vous avez utilisé aujourd'hui
menu-export = Notre conversation en fichier : /export json
menu-forget = Supprimer tout ce que je garde sur vous
menu-admin = Les chiffres de ce bot
