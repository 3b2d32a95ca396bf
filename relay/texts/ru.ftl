### Русский

language-name = Русский
language-in-English = Russian
# The letters of the language, where others share its script.
language-letters = абвгдеёжзийклмнопрстуфхцчшщъыьэюя

word-more = ЕЩЁ
word-clear = ОЧИСТИТЬ
word-forget = ЗАБУДЬ МЕНЯ
word-language = ЯЗЫК

## Every channel

answer-later = Сейчас не могу ответить. Сообщение получено, отвечу, как только смогу.
given-up = К сожалению, не удалось ответить на ваше последнее сообщение. Пришлите его позже ещё раз.
perhaps-lost = Моё последнее сообщение могло дойти не полностью. Если чего-то не хватает, спросите ещё раз.
stopped-here = здесь остановлено; напишите «дальше», и я продолжу
handed-over = Я позвал человека. Он ответит вам здесь.
nobody-there = Сейчас здесь никого нет. Я оставил заметку и продолжаю отвечать сам.
nobody-there-until = Сейчас здесь никого нет. Снова на месте: { $day }, { $time }. Я оставил заметку и продолжаю отвечать сам.
unknown-answer = Этого я не знаю.
person-answers = Теперь вам отвечает человек.
ai-answers = Теперь вам снова отвечает ИИ.
looks-like-a-machine = Похоже, переписываются две машины, поэтому я на время перестану отвечать. Если вы человек, напишите позже.
private = Это частный номер, поэтому я не могу ответить. Попросите владельца добавить вас.

cannot-answer = На это я не могу ответить. Спросите иначе.
question-too-long = Слишком длинное сообщение. Пришлите покороче.
pictures-unsupported = Картинки я пока не вижу. Опишите словами.
voice-unsupported = Пока я не умею слушать голосовые сообщения. Напишите, пожалуйста, словами.
video-unsupported = Пока я не умею смотреть видео. Опишите, пожалуйста, словами.
file-unsupported = Я не могу это открыть. Опишите, пожалуйста, словами.
file-too-large = Этот файл для меня слишком велик. Опишите, пожалуйста, словами.
file-empty = Этот файл пришёл пустым. Отправьте его, пожалуйста, ещё раз.
file-lost = Мне не удалось открыть то, что вы отправили. Отправьте, пожалуйста, ещё раз.
voice-silent = Слов там не слышно. Повторите, пожалуйста, или напишите.
set-up-wrongly = Не удалось ответить. Вы ни при чём: что-то неверно настроено у меня.
no-usable-answer = Не вышло получить годный ответ. Спросите иначе.

over-day = Слишком много сообщений за день! Напишите завтра.
over-minute = Слишком много сообщений сразу! Подождите минуту.
over-spending = Пока больше не могу отвечать. Напишите в другой день.
over-user-spending = На сегодня это всё. Напишите завтра.

name-empty = В имени должна быть хотя бы одна буква.
name-too-long = Слишком длинное имя: не больше { $limit } знаков.
name-not-one-line = Имя должно быть в одну строку, без переносов и управляющих знаков.
name-damaged = Часть знаков имени пришла повреждённой.
name-reserved = { $name } — служебное слово, оно не может быть именем.

language-set = Готово: теперь я пишу вам по-русски.
language-automatic = Готово: теперь я пишу на вашем языке.

## Operators

operator-sent = Отправлено: { $name }. ИИ там молчит.
operator-not-sent = Не отправлено ({ $name }): { $why }.
operator-unreachable = сейчас нет связи
operator-handed-back = ИИ снова отвечает: { $name }.
operator-waits = Ждёт вас: { $who }
operator-how-to-reply = Ответьте на это сообщение, чтобы написать, или отправьте в ответ /back, чтобы продолжил ИИ.

## SMS

sms-introduction = Это автоматический помощник.
sms-introduction-of = Это { $program }, автоматический помощник.
sms-contact = Контакт: { $contact }.
sms-ask-name =
    Здравствуйте! { $introduction } Как вас зовут? Пришлите имя, например: имя=Анна
    STOP — больше не получать SMS.
sms-welcome = Приятно познакомиться, { $name }! Спрашивайте. Сменить имя: имя=новое имя
sms-renamed = Готово! Теперь зову вас { $name }.
sms-how-to-name = Попробуйте так: имя=Анна
sms-back = С возвращением! Спрашивайте.
sms-stopped = С этого номера больше не будет SMS. Пришлите START, чтобы вернуться.
sms-help =
    Это автоматический помощник: пришлите вопрос, и он ответит. { word-clear } — забыть переписку, { word-forget } — и ваше имя, { word-language } — выбрать язык. STOP — больше не получать SMS.
sms-only-at = Я отвечаю только на SMS: напишите на { $number }.
sms-only = Я отвечаю только на SMS.
sms-cleared = Готово: переписка забыта. { word-forget } — и я забуду ваше имя.
sms-forgotten = Готово: я забыл вас и нашу переписку.
sms-empty-text = Пришло пустое сообщение. Отправьте ещё раз.
sms-too-long = Слишком длинно: не больше { $limit } знаков.
sms-empty-answer = У меня нет ответа на это. Скажите иначе.
sms-cut = Обрезано: слишком длинно для SMS. Попросите продолжить.
sms-more = { word-more } — прислать остальное.
sms-languages = Я пишу вам по-русски. Другой язык: язык= и { $codes }; язык=auto — тот, на котором пишете вы.

## Telegram

telegram-hello = Здравствуйте, **{ $name }**!
telegram-hello-again = С возвращением, **{ $name }**!
telegram-welcome =
    { $hello } Я автоматический помощник: спрашивайте о чём угодно.

    Называть вас иначе? Отправьте /setname и имя. /help покажет, что я умею.
telegram-welcome-group = Здравствуйте! Я автоматический помощник: упомяните меня или ответьте мне, и я отвечу. /help покажет, что я умею.
telegram-help = Пишите мне как знакомому; я помню наши последние сообщения.
telegram-unknown-command = Я не знаю /{ $command }. /help покажет, что я умею.
telegram-renamed = Спасибо! Теперь я зову вас **{ $name }**.
telegram-bad-name = Попробуйте так: /setname Анна
telegram-how-to-name = Отправьте так: /setname Анна
telegram-private-name = Назовите своё имя в личном чате со мной.
telegram-cleared =
    { $count ->
        [0] Забывать было нечего.
        [one] Готово: удалено { $count } сообщение.
        [few] Готово: удалено { $count } сообщения.
        [many] Готово: удалено { $count } сообщений.
       *[other] Готово: удалено { $count } сообщения.
    }
telegram-topic-cleared = Готово: наши сообщения в этой теме удалены.
telegram-facts = **Что я о вас знаю**

    - Имя: { $name }
    - Имя пользователя в Telegram: { $username }
    - Чат: { $chat }
    - Впервые: { $since }
    - Сохранено сообщений: { $count }

    ИИ видит ваше имя и последние реплики, не больше { $exchanges } пар. /clear удалит нашу переписку.
telegram-no-username = нет
telegram-edited = Вы изменили сообщение. Я отвечаю только на новые, поэтому отправьте его ещё раз.
telegram-empty-text = Да? Напишите вопрос, и я отвечу.
telegram-late-answer = Когда вы это писали, я был недоступен, поэтому отвечаю с опозданием.
telegram-nothing-to-stop = Сейчас я ничего не пишу.
telegram-admins-only = Это могут только администраторы группы.
telegram-admins-unknown = Не удалось узнать, администратор ли вы здесь. Попробуйте ещё раз.
telegram-cut = Ответ был длиннее; остальное опущено.
telegram-empty-answer = Ответ оказался пустым.
telegram-languages = Я пишу вам **по-русски**. Другой язык — /language и его код, например /language en:
telegram-language-automatic = язык, на котором пишете вы
telegram-press-stop = Стоп
telegram-press-continue = Продолжить
telegram-press-again = Ещё раз
telegram-press-shorter = Короче
telegram-press-longer = Подробнее
telegram-press-forget = Удалить всё
telegram-press-keep = Отмена
telegram-part-of-above = (Теперь это часть ответа выше.)
telegram-button-gone = Эта кнопка больше не действует.
telegram-button-old = Этот ответ слишком старый, его не изменить. Спросите ещё раз, и я отвечу заново.
telegram-button-of-others = Эти кнопки доступны только тому, кто спросил.
telegram-forget-question = Будет удалено всё, что я здесь о вас храню: наши сообщения, ваше имя, ваши настройки. Вернуть это нельзя. Удалить всё?
telegram-forgotten = Готово: всё, что я здесь о вас хранил, удалено.
telegram-kept = Ничего не удалено.
telegram-please-repeat = Отправьте это ещё раз новым сообщением.
telegram-one-model = Здесь отвечает одна модель, выбрать другую нельзя.
telegram-models-unknown = Не удалось узнать, какие модели есть. Попробуйте ещё раз.
telegram-export-formats = Могу записать как md или json: /export json
telegram-nothing-to-export = Пока нечего выгружать.
telegram-exported-you = Вы
telegram-exported-assistant = Помощник
telegram-models = **Модели на выбор**
telegram-model-now = сейчас
telegram-models-more = и ещё { $count }
telegram-choose-model = Выберите так: /model ИМЯ
telegram-no-such-model = Модели { $name } на выбор нет.
telegram-model-chosen = Теперь вам отвечает `{ $name }`.
telegram-usage =
    { $count ->
        [one] **Сегодня** (UTC): { $count } вопрос, { $usd } $.
        [few] **Сегодня** (UTC): { $count } вопроса, { $usd } $.
        [many] **Сегодня** (UTC): { $count } вопросов, { $usd } $.
       *[other] **Сегодня** (UTC): { $count } вопроса, { $usd } $.
    }
telegram-usage-limit = За 24 часа можно задать { $limit }.
telegram-exported =
    { $count ->
        [one] Вот наша переписка: { $count } сообщение.
        [few] Вот наша переписка: { $count } сообщения.
        [many] Вот наша переписка: { $count } сообщений.
       *[other] Вот наша переписка: { $count } сообщения.
    }
telegram-code-in-file =
    { $count ->
        [one] Код в файле **{ $name }** ({ $count } строка).
        [few] Код в файле **{ $name }** ({ $count } строки).
        [many] Код в файле **{ $name }** ({ $count } строк).
       *[other] Код в файле **{ $name }** ({ $count } строки).
    }

## WhatsApp

whatsapp-stopped = С этого номера больше не будет сообщений. Напишите START, чтобы вернуться.
whatsapp-help = Я автоматический помощник: напишите вопрос, и я отвечу. { word-clear } — забыть переписку, { word-forget } — и ваше имя, { word-language } — выбрать язык. STOP — больше не получать сообщений.
whatsapp-cleared = Готово: переписка забыта. { word-forget } — и я забуду ваше имя.
whatsapp-empty-text = Пришло пустое сообщение. Отправьте ещё раз.
whatsapp-cut = Обрезано: слишком длинно для сообщений. Попросите продолжить.

## The demo, which answers while no AI is connected. Markdown; names of settings stay as they are

demo-hello = Здравствуйте!
demo-hello-name = Здравствуйте, { $name }!
demo-introduction =
    Я демонстрация этой программы: **не ИИ**, а короткий список вопросов, который работает без интернета. Попробуйте:

    - «Что ты умеешь?»
    - «Что я говорил раньше?»
    - «Как подключить ИИ?»
demo-abilities = Без ИИ я могу ответить на несколько вопросов: что это, сколько стоит, как подключить настоящий ИИ.
demo-how-to-connect = Я **не ИИ**, а демонстрация, которая отвечает по короткому списку вопросов. Чтобы подключить настоящий ИИ, укажите `OPENROUTER_API_KEY` в файле `.env` или запустите Ollama на этом компьютере.
demo-nothing-earlier = Это первое ваше сообщение, которое я вижу. Спросите позже ещё раз: «Что я говорил раньше?»
demo-unseen = Вложение я не вижу и не слышу: я **не ИИ**, а только демонстрация.
demo-no-answer = На это я ответить не могу: я только демонстрация с коротким списком вопросов, а не ИИ. Спросите: «Что ты умеешь?» или «Как подключить ИИ?»
demo-quoted = Из раздела *{ $title }*:
demo-thanks = Пожалуйста!
demo-goodbye = До свидания! Пишите, когда захотите.

## The menu of Telegram

menu-start = Поздороваться
menu-help = Что я умею
menu-stop = Остановить ответ, который я пишу
menu-setname = Назвать имя: /setname Анна
menu-language = Выбрать язык
menu-clear = Забыть нашу переписку
menu-status = Что я о вас знаю
menu-model = Какая модель ИИ отвечает
menu-usage = Сколько вы использовали сегодня
menu-export = Наша переписка в файле: /export json
menu-forget = Удалить всё, что я о вас храню
menu-admin = Показатели этого бота
