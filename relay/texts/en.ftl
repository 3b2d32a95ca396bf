### What we write to people, in English: the language that every other file follows, with the same keys and variables.
### The format is Fluent (https://projectfluent.org/fluent/guide/). Telegram shows Markdown, SMS plain text.

language-name = English
language-in-English = English

## What an SMS may consist of alone, so that it is understood as a command

word-more = MORE
word-clear = CLEAR
word-forget = FORGET ME
word-language = LANGUAGE

## Every channel

answer-later = I cannot answer right now. I have your message and will answer as soon as I can.
given-up = I am sorry, I could not answer your last message. Please send it again later.
perhaps-lost = My last message may not have reached you whole. If something is missing, please ask me again.
stopped-here = stopped here; write "continue" and I go on
handed-over = I have told a person. They will answer you here.
nobody-there = No person is here right now. I have left them a note, and go on answering you.
nobody-there-until = No person is here right now. They are back on { $day } at { $time }. I have left them a note, and go on answering you.
unknown-answer = I do not know that.
person-answers = A person answers you now.
ai-answers = The AI answers you again.
looks-like-a-machine = This looks like two machines talking to each other, so I will stop answering for a while. If you are a person, please write again later.
private = This is a private line, so I cannot answer. Please ask its owner to add you.

cannot-answer = I cannot answer that. Please try asking in a different way.
question-too-long = That message is too long for me. Please send a shorter one.
pictures-unsupported = I cannot look at pictures yet. Please describe it in words.
voice-unsupported = I cannot listen to voice messages yet. Please write it in words.
video-unsupported = I cannot watch videos yet. Please describe it in words.
file-unsupported = I cannot open that. Please describe it in words.
file-too-large = That file is too large for me. Please describe it in words.
file-empty = That file arrived empty. Please send it again.
file-lost = I could not open what you sent. Please send it again.
voice-silent = I could not hear any words in that. Please say it again, or write it.
set-up-wrongly = I could not answer that. It is not your fault: something is set up wrongly on my side.
no-usable-answer = I got no usable answer to that and stopped trying. Please try asking in a different way.

over-day = That was a lot of messages for one day! Please write again tomorrow.
over-minute = That was a lot of messages at once! Please wait a minute before you write again.
over-spending = I cannot answer any more for now. Please try again another day.
over-user-spending = That is all that I can send you today. Please write again tomorrow.

name-empty = A name needs at least one letter.
name-too-long = That name is too long: please keep it to { $limit } characters.
name-not-one-line = A name must fit on one line, without line breaks, tabs or other control characters.
name-damaged = Some characters of that name arrived damaged.
name-reserved = Sorry, { $name } has a special meaning here, so it cannot be a name.

language-set = Done: from now on I write to you in English.
language-automatic = Done: from now on I write in the language that you use.

## Operators

operator-sent = Sent to { $name }. The AI is silent there.
operator-not-sent = Not sent to { $name }: { $why }.
operator-unreachable = they cannot be reached now
operator-handed-back = The AI answers { $name } again.
operator-waits = Waits for you: { $who }
operator-how-to-reply = Reply to this message to answer them, or with /back to let the AI go on.

## SMS. What one segment holds is in docs/SMS_SETUP_GUIDE.md; no sentence asks for a keyword but STOP, and START after it

sms-introduction = This is an automated assistant.
sms-introduction-of = This is { $program }, an automated assistant.
sms-contact = Contact: { $contact }.
sms-ask-name =
    Hi! { $introduction } What is your name? Text me name= and your name, for example: name=John
    Text STOP to get no more texts.
sms-welcome = Nice to meet you, { $name }! Ask me anything. To change your name, text name= and the new one.
sms-renamed = Done! I will call you { $name } from now on.
sms-how-to-name = Try again like this: name=John
sms-back = Welcome back! Ask me anything.
sms-stopped = You will get no more texts from this number. Text START to come back.
sms-help =
    This is an automated assistant: text a question and it answers. Text { word-clear } and it forgets what you wrote, { word-forget } and your name too, { word-language } to choose its language. Text STOP to get no more texts.
sms-only-at = I answer text messages (SMS) only: please send one to { $number }.
sms-only = I answer text messages (SMS) only.
sms-cleared = Done: I have forgotten what we wrote. Text { word-forget } and I forget your name too.
sms-forgotten = Done: I have forgotten you and what we wrote.
sms-empty-text = Your text arrived empty. Please send it again.
sms-too-long = That is too long for me: please keep it under { $limit } characters.
sms-empty-answer = Sorry, I have no answer to that. Please put it another way.
sms-cut = Cut here: too long for texts. Ask me to go on.
sms-more = Text { word-more } for the rest.
sms-languages = I write to you in English. For another language text language= and one of { $codes }; language=auto is the one that you use.

## Telegram

telegram-hello = Hello, **{ $name }**!
telegram-hello-again = Welcome back, **{ $name }**!
telegram-welcome =
    { $hello } I am an automated assistant: ask me anything.

    Should I call you something else? Send /setname and your name. /help lists what I can do.
telegram-welcome-group = Hello! I am an automated assistant: mention me or reply to me, and I answer. /help lists what I can do.
telegram-help = Write to me as you would to a friend; I remember our last messages.
telegram-unknown-command = I do not know /{ $command }. /help lists what I can do.
telegram-renamed = Thank you! From now on I will call you **{ $name }**.
telegram-bad-name = Try it like this: /setname Alice
telegram-how-to-name = Send it like this: /setname Alice
telegram-private-name = Please tell me your name in a private chat with me.
telegram-cleared =
    { $count ->
        [0] There was nothing to forget.
        [one] Done: I removed { $count } message.
       *[other] Done: I removed { $count } messages.
    }
telegram-topic-cleared = Done: I removed our messages in this topic.
telegram-facts = **What I know about you**

    - Name: { $name }
    - Telegram username: { $username }
    - Chat: { $chat }
    - First seen: { $since }
    - Messages kept: { $count }

    The AI sees your name and our last { $exchanges } exchanges. /clear deletes our conversation.
telegram-no-username = none
telegram-edited = I saw that you edited a message. I only answer new messages, so please send it again.
telegram-empty-text = Yes? Write your question and I will answer it.
telegram-late-answer = I could not be reached when you wrote this, so my answer comes late.
telegram-nothing-to-stop = I am not writing anything now.
telegram-admins-only = Only administrators of this group can do that.
telegram-admins-unknown = I could not find out whether you are an administrator here. Please try again.
telegram-cut = The answer was longer; the rest was cut.
telegram-empty-answer = There was nothing in the answer.
telegram-languages = I write to you in **English**. For another language send /language and its code, for example /language de:
telegram-language-automatic = the language that you use
telegram-press-stop = Stop
telegram-press-continue = Continue
telegram-press-again = Again
telegram-press-shorter = Shorter
telegram-press-longer = Longer
telegram-press-forget = Delete everything
telegram-press-keep = Cancel
telegram-part-of-above = (This is part of the answer above now.)
telegram-button-gone = That button does nothing any more.
telegram-button-old = That answer is too old to change. Ask me again, and I answer anew.
telegram-button-of-others = Only the person who asked can use these buttons.
telegram-forget-question = This deletes all that I keep about you here: our messages, your name, your settings. It cannot be undone. Delete everything?
telegram-forgotten = Done: I have deleted all that I kept about you here.
telegram-kept = Nothing was deleted.
telegram-please-repeat = Please send that once more as a new message.
telegram-one-model = One model answers here, and it cannot be chosen.
telegram-models-unknown = I could not find out which models there are. Please try again.
telegram-export-formats = I can write it as md or json: /export json
telegram-nothing-to-export = There is nothing to export yet.
telegram-exported-you = You
telegram-exported-assistant = Assistant
telegram-models = **Models that you can choose**
telegram-model-now = now
telegram-models-more = and { $count } more
telegram-choose-model = Choose one like this: /model NAME
telegram-no-such-model = I know no model { $name } that you can choose.
telegram-model-chosen = From now on `{ $name }` answers you.
telegram-usage =
    { $count ->
        [one] **Today** (UTC): { $count } question, ${ $usd }.
       *[other] **Today** (UTC): { $count } questions, ${ $usd }.
    }
telegram-usage-limit = You can ask { $limit } in 24 hours.
telegram-exported =
    { $count ->
        [one] Here is our conversation: { $count } message.
       *[other] Here is our conversation: { $count } messages.
    }
telegram-code-in-file =
    { $count ->
        [one] The code is in the file **{ $name }** ({ $count } line).
       *[other] The code is in the file **{ $name }** ({ $count } lines).
    }

## WhatsApp

whatsapp-stopped = You will get no more messages from this number. Write START to come back.
whatsapp-help = I am an automated assistant: write a question and I answer. Write { word-clear } and I forget what we wrote, { word-forget } and your name too, { word-language } to choose my language. Write STOP to get no more messages.
whatsapp-cleared = Done: I have forgotten what we wrote. Write { word-forget } and I forget your name too.
whatsapp-empty-text = Your message arrived empty. Please send it again.
whatsapp-cut = Cut here: too long for messages. Ask me to go on.

## The demo, which answers while no AI is connected. Markdown; names of settings stay as they are

demo-hello = Hello!
demo-hello-name = Hello { $name }!
demo-introduction =
    I am the demo of this relay: **not an AI**, only a short FAQ that works without the internet. Try:

    - "What can you do?"
    - "What did I say before?"
    - "Tell me something long"
    - "How do I connect a real AI?"
demo-abilities = Without an AI I can answer a few questions: what this is, what it costs, how to change your name, how to connect a real AI.
demo-how-to-connect = I am **not an AI**, only a demo that answers from a short FAQ. To connect a real one, set `OPENROUTER_API_KEY` in the file `.env`, or start Ollama on this machine.
demo-nothing-earlier = This is the first message from you that I can see. Ask me "What did I say before?" again later.
demo-unseen = I cannot see or hear what you sent with it: I am **not an AI**, only a demo.
demo-no-answer = I cannot answer that: I am only a demo with a short FAQ, no AI. Ask "What can you do?" or "How do I connect a real AI?"
demo-quoted = From *{ $title }*:
demo-thanks = You are welcome!
demo-goodbye = Goodbye! Write again whenever you like.

## The menu of Telegram

menu-start = Say hello
menu-help = What I can do
menu-stop = Stop the answer that I am writing
menu-setname = Tell me your name: /setname Alice
menu-language = Choose the language that I write
menu-clear = Forget our conversation
menu-status = What I know about you
menu-model = Which AI model answers
menu-usage = What you used today
menu-export = Our conversation as a file: /export json
menu-forget = Delete everything that I keep about you
menu-admin = The numbers of this bot
