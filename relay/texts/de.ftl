### Deutsch

language-name = Deutsch
language-in-English = German

word-more = MEHR
word-clear = VERLAUF LÖSCHEN
word-forget = VERGISS MICH
word-language = SPRACHE

## Every channel

answer-later = Ich kann gerade nicht antworten. Ihre Nachricht habe ich und antworte, sobald ich kann.
given-up = Es tut mir leid, ich konnte Ihre letzte Nachricht nicht beantworten. Bitte senden Sie sie später noch einmal.
perhaps-lost = Meine letzte Nachricht kam vielleicht nicht vollständig an. Wenn etwas fehlt, fragen Sie bitte noch einmal.
stopped-here = hier angehalten; schreiben Sie „weiter“, und ich mache weiter
handed-over = Ich habe jemanden verständigt. Sie bekommen hier Antwort von einem Menschen.
nobody-there = Gerade ist kein Mensch hier. Ich habe eine Notiz hinterlassen und antworte Ihnen weiter.
nobody-there-until = Gerade ist kein Mensch hier. Wieder da: { $day }, { $time } Uhr. Ich habe eine Notiz hinterlassen und antworte Ihnen weiter.
unknown-answer = Das weiß ich nicht.
person-answers = Jetzt antwortet Ihnen ein Mensch.
ai-answers = Jetzt antwortet Ihnen wieder die KI.
looks-like-a-machine = Hier scheinen zwei Automaten miteinander zu reden, darum antworte ich eine Weile nicht mehr. Wenn Sie ein Mensch sind, schreiben Sie bitte später noch einmal.
private = Das ist ein privater Anschluss, darum kann ich nicht antworten. Bitten Sie den Inhaber, Sie aufzunehmen.

cannot-answer = Darauf kann ich nicht antworten. Bitte fragen Sie es anders.
question-too-long = Diese Nachricht ist zu lang für mich. Bitte senden Sie eine kürzere.
pictures-unsupported = Bilder kann ich noch nicht ansehen. Bitte beschreiben Sie es in Worten.
voice-unsupported = Sprachnachrichten kann ich noch nicht anhören. Bitte schreiben Sie es.
video-unsupported = Videos kann ich noch nicht ansehen. Bitte beschreiben Sie es in Worten.
file-unsupported = Das kann ich nicht öffnen. Bitte beschreiben Sie es in Worten.
file-too-large = Diese Datei ist zu groß für mich. Bitte beschreiben Sie es in Worten.
file-empty = Diese Datei kam leer an. Bitte schicken Sie sie noch einmal.
file-lost = Was Sie geschickt haben, konnte ich nicht öffnen. Bitte schicken Sie es noch einmal.
voice-silent = Ich konnte darin keine Worte hören. Bitte sagen Sie es noch einmal, oder schreiben Sie es.
set-up-wrongly = Das konnte ich nicht beantworten. Es liegt nicht an Ihnen: Bei mir ist etwas falsch eingestellt.
no-usable-answer = Darauf bekam ich keine brauchbare Antwort und habe aufgehört. Bitte fragen Sie es anders.

over-day = Das waren viele Nachrichten für einen Tag! Bitte schreiben Sie morgen wieder.
over-minute = Das waren viele Nachrichten auf einmal! Bitte warten Sie eine Minute, bevor Sie wieder schreiben.
over-spending = Ich kann vorerst nicht mehr antworten. Bitte versuchen Sie es an einem anderen Tag.
over-user-spending = Mehr kann ich Ihnen heute nicht senden. Bitte schreiben Sie morgen wieder.

name-empty = Ein Name braucht mindestens einen Buchstaben.
name-too-long = Dieser Name ist zu lang: bitte höchstens { $limit } Zeichen.
name-not-one-line = Ein Name muss in eine Zeile passen, ohne Umbrüche, Tabulatoren und andere Steuerzeichen.
name-damaged = Einige Zeichen des Namens kamen beschädigt an.
name-reserved = { $name } hat hier leider eine besondere Bedeutung und kann kein Name sein.

language-set = Erledigt: Ab jetzt schreibe ich Ihnen auf Deutsch.
language-automatic = Erledigt: Ab jetzt schreibe ich in der Sprache, die Sie verwenden.

## Operators

operator-sent = An { $name } gesendet. Die KI schweigt dort.
operator-not-sent = Nicht an { $name } gesendet: { $why }.
operator-unreachable = derzeit nicht erreichbar
operator-handed-back = Die KI antwortet { $name } wieder.
operator-waits = Wartet auf Sie: { $who }
operator-how-to-reply = Antworten Sie auf diese Nachricht, um zu schreiben, oder mit /back, damit die KI weitermacht.

## SMS

sms-introduction = Dies ist ein automatischer Assistent.
sms-introduction-of = Dies ist { $program }, ein automatischer Assistent.
sms-contact = Kontakt: { $contact }.
sms-ask-name =
    Hallo! { $introduction } Wie heißen Sie? Senden Sie name= und Ihren Namen, zum Beispiel: name=Anna
    Mit STOP bekommen Sie keine SMS mehr.
sms-welcome = Freut mich, { $name }! Fragen Sie, was Sie wollen. Einen anderen Namen nennen Sie mir mit name= und dem Namen.
sms-renamed = Erledigt! Ab jetzt nenne ich Sie { $name }.
sms-how-to-name = Versuchen Sie es so: name=Anna
sms-back = Willkommen zurück! Fragen Sie, was Sie wollen.
sms-stopped = Sie bekommen von dieser Nummer keine SMS mehr. Senden Sie START, um zurückzukommen.
sms-help =
    Dies ist ein automatischer Assistent: Senden Sie eine Frage, und er antwortet. Mit { word-clear } vergisst er, was Sie schrieben, mit { word-forget } auch Ihren Namen, mit { word-language } wählen Sie die Sprache. Mit STOP bekommen Sie keine SMS mehr.
sms-only-at = Ich beantworte nur SMS: Bitte schreiben Sie eine an { $number }.
sms-only = Ich beantworte nur SMS.
sms-cleared = Erledigt: Ich habe vergessen, was wir schrieben. Mit { word-forget } vergesse ich auch Ihren Namen.
sms-forgotten = Erledigt: Ich habe Sie und alles, was wir schrieben, vergessen.
sms-empty-text = Ihre SMS kam leer an. Bitte senden Sie sie noch einmal.
sms-too-long = Das ist zu lang für mich: bitte weniger als { $limit } Zeichen.
sms-empty-answer = Darauf habe ich leider keine Antwort. Bitte sagen Sie es anders.
sms-cut = Hier gekürzt: zu lang für SMS. Bitten Sie mich weiterzumachen.
sms-more = Mit { word-more } kommt der Rest.
sms-languages = Ich schreibe Ihnen auf Deutsch. Andere Sprachen: senden Sie language= und eines von { $codes }; language=auto ist Ihre eigene.

## Telegram

telegram-hello = Hallo, **{ $name }**!
telegram-hello-again = Willkommen zurück, **{ $name }**!
telegram-welcome =
    { $hello } Ich bin ein automatischer Assistent: Fragen Sie mich, was Sie wollen.

    Soll ich Sie anders nennen? Senden Sie /setname und Ihren Namen. /help zeigt, was ich kann.
telegram-welcome-group = Hallo! Ich bin ein automatischer Assistent: Erwähnen Sie mich oder antworten Sie mir, dann antworte ich. /help zeigt, was ich kann.
telegram-help = Schreiben Sie mir wie einem Bekannten; unsere letzten Nachrichten merke ich mir.
telegram-unknown-command = /{ $command } kenne ich nicht. /help zeigt, was ich kann.
telegram-renamed = Danke! Ab jetzt nenne ich Sie **{ $name }**.
telegram-bad-name = Versuchen Sie es so: /setname Anna
telegram-how-to-name = Senden Sie es so: /setname Anna
telegram-private-name = Bitte nennen Sie mir Ihren Namen in einem privaten Chat mit mir.
telegram-cleared =
    { $count ->
        [0] Es gab nichts zu vergessen.
        [one] Erledigt: Ich habe { $count } Nachricht gelöscht.
       *[other] Erledigt: Ich habe { $count } Nachrichten gelöscht.
    }
telegram-topic-cleared = Erledigt: Ich habe unsere Nachrichten in diesem Thema gelöscht.
telegram-facts = **Was ich über Sie weiß**

    - Name: { $name }
    - Benutzername bei Telegram: { $username }
    - Chat: { $chat }
    - Zuerst gesehen: { $since }
    - Gespeicherte Nachrichten: { $count }

    Die KI sieht Ihren Namen und unsere letzten Wortwechsel, höchstens { $exchanges }. /clear löscht unser Gespräch.
telegram-no-username = keiner
telegram-edited = Sie haben eine Nachricht geändert. Ich antworte nur auf neue, bitte senden Sie sie noch einmal.
telegram-empty-text = Ja? Schreiben Sie Ihre Frage, und ich antworte.
telegram-late-answer = Als Sie das schrieben, war ich nicht erreichbar, darum kommt meine Antwort spät.
telegram-nothing-to-stop = Ich schreibe gerade nichts.
telegram-admins-only = Das können nur Administratoren dieser Gruppe.
telegram-admins-unknown = Ich konnte nicht feststellen, ob Sie hier Administrator sind. Bitte versuchen Sie es noch einmal.
telegram-cut = Die Antwort war länger; der Rest wurde weggelassen.
telegram-empty-answer = Die Antwort war leer.
telegram-languages = Ich schreibe Ihnen auf **Deutsch**. Für eine andere Sprache senden Sie /language und ihr Kürzel, zum Beispiel /language en:
telegram-language-automatic = die Sprache, die Sie verwenden
telegram-press-stop = Stopp
telegram-press-continue = Weiter
telegram-press-again = Noch einmal
telegram-press-shorter = Kürzer
telegram-press-longer = Länger
telegram-press-forget = Alles löschen
telegram-press-keep = Abbrechen
telegram-part-of-above = (Das gehört jetzt zur Antwort darüber.)
telegram-button-gone = Diese Schaltfläche bewirkt nichts mehr.
telegram-button-old = Diese Antwort ist zu alt, um sie zu ändern. Fragen Sie noch einmal, dann antworte ich neu.
telegram-button-of-others = Diese Schaltflächen kann nur benutzen, wer gefragt hat.
telegram-forget-question = Das löscht alles, was ich hier über Sie gespeichert habe: unsere Nachrichten, Ihren Namen, Ihre Einstellungen. Es lässt sich nicht rückgängig machen. Alles löschen?
telegram-forgotten = Erledigt: Ich habe alles gelöscht, was ich hier über Sie gespeichert hatte.
telegram-kept = Es wurde nichts gelöscht.
telegram-please-repeat = Bitte senden Sie das noch einmal als neue Nachricht.
telegram-one-model = Hier antwortet ein bestimmtes Modell, es lässt sich nicht wählen.
telegram-models-unknown = Ich konnte nicht feststellen, welche Modelle es gibt. Bitte versuchen Sie es noch einmal.
telegram-export-formats = Ich kann es als md oder json schreiben: /export json
telegram-nothing-to-export = Es gibt noch nichts zu exportieren.
telegram-exported-you = Sie
telegram-exported-assistant = Assistent
telegram-models = **Modelle zur Wahl**
telegram-model-now = jetzt
telegram-models-more = und { $count } weitere
telegram-choose-model = So wählen Sie eines: /model NAME
telegram-no-such-model = Ein Modell { $name } steht nicht zur Wahl.
telegram-model-chosen = Ab jetzt antwortet Ihnen `{ $name }`.
telegram-usage =
    { $count ->
        [one] **Heute** (UTC): { $count } Frage, { $usd } $.
       *[other] **Heute** (UTC): { $count } Fragen, { $usd } $.
    }
telegram-usage-limit = In 24 Stunden sind { $limit } möglich.
telegram-exported =
    { $count ->
        [one] Hier ist unser Gespräch: { $count } Nachricht.
       *[other] Hier ist unser Gespräch: { $count } Nachrichten.
    }
telegram-code-in-file =
    { $count ->
        [one] Der Code steht in der Datei **{ $name }** ({ $count } Zeile).
       *[other] Der Code steht in der Datei **{ $name }** ({ $count } Zeilen).
    }

## WhatsApp

whatsapp-stopped = Sie bekommen von dieser Nummer keine Nachrichten mehr. Schreiben Sie START, um zurückzukommen.
whatsapp-help = Ich bin ein automatischer Assistent: Schreiben Sie eine Frage, und ich antworte. Mit { word-clear } vergesse ich, was wir schrieben, mit { word-forget } auch Ihren Namen, mit { word-language } wählen Sie die Sprache. Mit STOP bekommen Sie keine Nachrichten mehr.
whatsapp-cleared = Erledigt: Ich habe vergessen, was wir schrieben. Mit { word-forget } vergesse ich auch Ihren Namen.
whatsapp-empty-text = Ihre Nachricht kam leer an. Bitte senden Sie sie noch einmal.
whatsapp-cut = Hier gekürzt: zu lang für Nachrichten. Bitten Sie mich weiterzumachen.

## The demo, which answers while no AI is connected. Markdown; names of settings stay as they are

demo-hello = Hallo!
demo-hello-name = Hallo { $name }!
demo-introduction =
    Ich bin die Demo dieses Relays: **keine KI**, nur eine kurze FAQ, die ohne Internet auskommt. Probieren Sie:

    - „Was kannst du?“
    - „Was habe ich gesagt?“
    - „Wie verbinde ich eine KI?“
demo-abilities = Ohne KI kann ich wenige Fragen beantworten: was das hier ist, was es kostet, wie man eine echte KI verbindet.
demo-how-to-connect = Ich bin **keine KI**, nur eine Demo, die aus einer kurzen FAQ antwortet. Für eine echte KI setzen Sie `OPENROUTER_API_KEY` in der Datei `.env`, oder starten Sie Ollama auf diesem Rechner.
demo-nothing-earlier = Dies ist die erste Nachricht, die ich von Ihnen sehe. Fragen Sie später noch einmal: „Was habe ich gesagt?“
demo-unseen = Was Sie mitgeschickt haben, kann ich weder sehen noch hören: Ich bin **keine KI**, nur eine Demo.
demo-no-answer = Das kann ich nicht beantworten: Ich bin nur eine Demo mit einer kurzen FAQ, keine KI. Fragen Sie „Was kannst du?“ oder „Wie verbinde ich eine KI?“
demo-quoted = Aus *{ $title }*:
demo-thanks = Gern geschehen!
demo-goodbye = Auf Wiedersehen! Schreiben Sie jederzeit wieder.

## The menu of Telegram

menu-start = Hallo sagen
menu-help = Was ich kann
menu-stop = Die Antwort anhalten, die ich gerade schreibe
menu-setname = Ihren Namen nennen: /setname Anna
menu-language = Meine Sprache wählen
menu-clear = Unser Gespräch vergessen
menu-status = Was ich über Sie weiß
menu-model = Welches KI-Modell antwortet
menu-usage = Was Sie heute verbraucht haben
menu-export = Unser Gespräch als Datei: /export json
menu-forget = Alles löschen, was ich über Sie gespeichert habe
menu-admin = Zahlen des Bots
