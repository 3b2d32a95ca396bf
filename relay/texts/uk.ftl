### Українська

language-name = Українська
language-in-English = Ukrainian
language-letters = абвгґдеєжзиіїйклмнопрстуфхцчшщьюя

word-more = ЩЕ
word-clear = ОЧИСТИТИ
word-forget = ЗАБУДЬ МЕНЕ
word-language = МОВА

## Every channel

answer-later = Зараз не можу відповісти. Повідомлення отримано, відповім, щойно зможу.
given-up = На жаль, не вдалося відповісти на ваше останнє повідомлення. Надішліть його пізніше ще раз.
perhaps-lost = Моє останнє повідомлення могло надійти не повністю. Якщо чогось бракує, запитайте ще раз.
stopped-here = тут зупинено; напишіть «далі», і я продовжу
handed-over = Людину повідомлено. Вона відповість вам тут.
nobody-there = Зараз тут нікого немає. Я залишив нотатку й відповідаю далі сам.
nobody-there-until = Зараз тут нікого немає. Знову на місці: { $day }, { $time }. Я залишив нотатку й відповідаю далі сам.
unknown-answer = Цього я не знаю.
person-answers = Тепер вам відповідає людина.
ai-answers = Тепер вам знову відповідає ШІ.
looks-like-a-machine = Схоже, листуються дві машини, тому я на деякий час перестану відповідати. Якщо ви людина, напишіть пізніше.
private = Це приватний номер, тому я не можу відповісти. Попросіть власника додати вас.

cannot-answer = На це я не можу відповісти. Запитайте інакше.
question-too-long = Повідомлення задовге. Надішліть коротше.
pictures-unsupported = Зображень я поки не бачу. Опишіть словами.
voice-unsupported = Поки я не вмію слухати голосові повідомлення. Напишіть, будь ласка, словами.
video-unsupported = Поки я не вмію дивитися відео. Опишіть, будь ласка, словами.
file-unsupported = Я не можу це відкрити. Опишіть, будь ласка, словами.
file-too-large = Цей файл для мене завеликий. Опишіть, будь ласка, словами.
file-empty = Цей файл надійшов порожнім. Надішліть його, будь ласка, ще раз.
file-lost = Мені не вдалося відкрити те, що ви надіслали. Надішліть, будь ласка, ще раз.
voice-silent = Слів там не чути. Повторіть, будь ласка, або напишіть.
set-up-wrongly = Не вдалося відповісти. Ви ні до чого: щось хибно налаштовано в мене.
no-usable-answer = Не вдалося отримати придатну відповідь. Запитайте інакше.

over-day = Забагато повідомлень за день! Напишіть завтра.
over-minute = Забагато повідомлень одразу! Зачекайте хвилину.
over-spending = Поки більше не можу відповідати. Напишіть іншого дня.
over-user-spending = На сьогодні це все. Напишіть завтра.

name-empty = В імені має бути хоча б одна літера.
name-too-long = Задовге ім'я: не більше { $limit } знаків.
name-not-one-line = Ім'я має бути в один рядок, без переносів і керівних знаків.
name-damaged = Частина знаків імені надійшла пошкодженою.
name-reserved = { $name } — службове слово, воно не може бути іменем.

language-set = Готово: тепер я пишу вам українською.
language-automatic = Готово: тепер я пишу вашою мовою.

## Operators

operator-sent = Надіслано: { $name }. ШІ там мовчить.
operator-not-sent = Не надіслано ({ $name }): { $why }.
operator-unreachable = зараз немає зв'язку
operator-handed-back = ШІ знову відповідає: { $name }.
operator-waits = Чекає на вас: { $who }
operator-how-to-reply = Відповідайте на це повідомлення, щоб написати, або надішліть у відповідь /back, щоб продовжив ШІ.

## SMS

sms-introduction = Це автоматичний помічник.
sms-introduction-of = Це { $program }, автоматичний помічник.
sms-contact = Контакт: { $contact }.
sms-ask-name =
    Вітаю! { $introduction } Як вас звати? Надішліть ім'я, наприклад: ім'я=Анна
    STOP — більше не отримувати SMS.
sms-welcome = Приємно познайомитися, { $name }! Питайте. Змінити ім'я: ім'я=нове ім'я
sms-renamed = Готово! Тепер зву вас { $name }.
sms-how-to-name = Спробуйте так: ім'я=Анна
sms-back = З поверненням! Питайте.
sms-stopped = З цього номера більше не буде SMS. Надішліть START, щоб повернутися.
sms-help =
    Це автоматичний помічник: надішліть запитання, і він відповість. { word-clear } — забути листування, { word-forget } — і ваше ім'я, { word-language } — вибрати мову. STOP — більше не отримувати SMS.
sms-only-at = Я відповідаю лише на SMS: напишіть на { $number }.
sms-only = Я відповідаю лише на SMS.
sms-cleared = Готово: листування забуто. { word-forget } — і я забуду ваше ім'я.
sms-forgotten = Готово: вас і наше листування забуто.
sms-empty-text = Надійшло порожнє повідомлення. Надішліть ще раз.
sms-too-long = Задовго: не більше { $limit } знаків.
sms-empty-answer = На це я не маю відповіді. Скажіть інакше.
sms-cut = Обрізано: задовго для SMS. Попросіть продовжити.
sms-more = { word-more } — надіслати решту.
sms-languages = Я пишу вам українською. Інша мова: мова= і { $codes }; мова=auto — та, якою пишете ви.

## Telegram

telegram-hello = Вітаю, **{ $name }**!
telegram-hello-again = З поверненням, **{ $name }**!
telegram-welcome =
    { $hello } Я автоматичний помічник: питайте про що завгодно.

    Називати вас інакше? Надішліть /setname та ім'я. /help покаже, що я вмію.
telegram-welcome-group = Вітаю! Я автоматичний помічник: згадайте мене або дайте відповідь мені, і я відповім. /help покаже, що я вмію.
telegram-help = Пишіть мені як знайомому; я пам'ятаю наші останні повідомлення.
telegram-unknown-command = Я не знаю /{ $command }. /help покаже, що я вмію.
telegram-renamed = Дякую! Тепер я зву вас **{ $name }**.
telegram-bad-name = Спробуйте так: /setname Анна
telegram-how-to-name = Надішліть так: /setname Анна
telegram-private-name = Назвіть своє ім'я в приватному чаті зі мною.
telegram-cleared =
    { $count ->
        [0] Забувати не було чого.
        [one] Готово: видалено { $count } повідомлення.
        [few] Готово: видалено { $count } повідомлення.
        [many] Готово: видалено { $count } повідомлень.
       *[other] Готово: видалено { $count } повідомлення.
    }
telegram-topic-cleared = Готово: наші повідомлення в цій темі видалено.
telegram-facts = **Що я про вас знаю**

    - Ім'я: { $name }
    - Ім'я користувача в Telegram: { $username }
    - Чат: { $chat }
    - Уперше: { $since }
    - Збережено повідомлень: { $count }

    ШІ бачить ваше ім'я та останні репліки, не більше { $exchanges } пар. /clear видалить наше листування.
telegram-no-username = немає
telegram-edited = Ви змінили повідомлення. Я відповідаю лише на нові, тому надішліть його ще раз.
telegram-empty-text = Так? Напишіть запитання, і я відповім.
telegram-late-answer = Коли ви це писали, я не мав зв'язку, тому відповідаю із запізненням.
telegram-nothing-to-stop = Зараз я нічого не пишу.
telegram-admins-only = Це можуть лише адміністратори групи.
telegram-admins-unknown = Не вдалося дізнатися, чи ви тут адміністратор. Спробуйте ще раз.
telegram-cut = Відповідь була довшою; решту пропущено.
telegram-empty-answer = Відповідь виявилася порожньою.
telegram-languages = Я пишу вам **українською**. Інша мова — /language та її код, наприклад /language en:
telegram-language-automatic = мова, якою пишете ви
telegram-press-stop = Стоп
telegram-press-continue = Продовжити
telegram-press-again = Ще раз
telegram-press-shorter = Коротше
telegram-press-longer = Докладніше
telegram-press-forget = Видалити все
telegram-press-keep = Скасувати
telegram-part-of-above = (Тепер це частина відповіді вище.)
telegram-button-gone = Ця кнопка більше не діє.
telegram-button-old = Ця відповідь застара, її не змінити. Запитайте ще раз, і я відповім знову.
telegram-button-of-others = Ці кнопки доступні лише тому, хто запитав.
telegram-forget-question = Буде видалено все, що я тут про вас зберігаю: наші повідомлення, ваше ім'я, ваші налаштування. Повернути це не можна. Видалити все?
telegram-forgotten = Готово: усе, що я тут про вас зберігав, видалено.
telegram-kept = Нічого не видалено.
telegram-please-repeat = Надішліть це ще раз новим повідомленням.
telegram-one-model = Тут відповідає одна модель, вибрати іншу не можна.
telegram-models-unknown = Не вдалося дізнатися, які моделі є. Спробуйте ще раз.
telegram-export-formats = Можу записати як md або json: /export json
telegram-nothing-to-export = Поки нічого вивантажувати.
telegram-exported-you = Ви
telegram-exported-assistant = Помічник
telegram-models = **Моделі на вибір**
telegram-model-now = зараз
telegram-models-more = і ще { $count }
telegram-choose-model = Виберіть так: /model НАЗВА
telegram-no-such-model = Моделі { $name } на вибір немає.
telegram-model-chosen = Тепер вам відповідає `{ $name }`.
telegram-usage =
    { $count ->
        [one] **Сьогодні** (UTC): { $count } запитання, { $usd } $.
        [few] **Сьогодні** (UTC): { $count } запитання, { $usd } $.
        [many] **Сьогодні** (UTC): { $count } запитань, { $usd } $.
       *[other] **Сьогодні** (UTC): { $count } запитання, { $usd } $.
    }
telegram-usage-limit = За 24 години можна поставити { $limit }.
telegram-exported =
    { $count ->
        [one] Ось наше листування: { $count } повідомлення.
        [few] Ось наше листування: { $count } повідомлення.
        [many] Ось наше листування: { $count } повідомлень.
       *[other] Ось наше листування: { $count } повідомлення.
    }
telegram-code-in-file =
    { $count ->
        [one] Код у файлі **{ $name }** ({ $count } рядок).
        [few] Код у файлі **{ $name }** ({ $count } рядки).
        [many] Код у файлі **{ $name }** ({ $count } рядків).
       *[other] Код у файлі **{ $name }** ({ $count } рядка).
    }

## WhatsApp

whatsapp-stopped = З цього номера більше не буде повідомлень. Напишіть START, щоб повернутися.
whatsapp-help = Я автоматичний помічник: напишіть запитання, і я відповім. { word-clear } — забути листування, { word-forget } — і ваше ім'я, { word-language } — вибрати мову. STOP — більше не отримувати повідомлень.
whatsapp-cleared = Готово: листування забуто. { word-forget } — і я забуду ваше ім'я.
whatsapp-empty-text = Надійшло порожнє повідомлення. Надішліть ще раз.
whatsapp-cut = Обрізано: задовго для повідомлень. Попросіть продовжити.

## The demo, which answers while no AI is connected. Markdown; names of settings stay as they are

demo-hello = Вітаю!
demo-hello-name = Вітаю, { $name }!
demo-introduction =
    Я демонстрація цієї програми: **не ШІ**, а короткий перелік запитань, що працює без інтернету. Спробуйте:

    - «Що ти вмієш?»
    - «Що я казав раніше?»
    - «Як під'єднати ШІ?»
demo-abilities = Без ШІ я можу відповісти на кілька запитань: що це, скільки коштує, як під'єднати справжній ШІ.
demo-how-to-connect = Я **не ШІ**, а демонстрація, що відповідає за коротким переліком запитань. Щоб під'єднати справжній ШІ, вкажіть `OPENROUTER_API_KEY` у файлі `.env` або запустіть Ollama на цьому комп'ютері.
demo-nothing-earlier = Це перше ваше повідомлення, яке я бачу. Запитайте пізніше ще раз: «Що я казав раніше?»
demo-unseen = Вкладення я не бачу й не чую: я **не ШІ**, а лише демонстрація.
demo-no-answer = На це я відповісти не можу: я лише демонстрація з коротким переліком запитань, а не ШІ. Запитайте: «Що ти вмієш?» або «Як під'єднати ШІ?»
demo-quoted = З розділу *{ $title }*:
demo-thanks = Будь ласка!
demo-goodbye = До побачення! Пишіть, коли захочете.

## The menu of Telegram

menu-start = Привітатися
menu-help = Що я вмію
menu-stop = Зупинити відповідь, яку я пишу
menu-setname = Назвати ім'я: /setname Анна
menu-language = Вибрати мову
menu-clear = Забути наше листування
menu-status = Що я про вас знаю
menu-model = Яка модель ШІ відповідає
menu-usage = Скільки ви використали сьогодні
menu-export = Наше листування у файлі: /export json
menu-forget = Видалити все, що я про вас зберігаю
menu-admin = Показники цього бота
