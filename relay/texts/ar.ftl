### العربية. LTR("...") keeps what is typed as it is, such as a command, in its own direction.

language-name = العربية
language-in-English = Arabic
# The letters of the language, where others share its script: those of Persian and Urdu are missing.
language-letters = ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيٱپچڤڭ

word-more = المزيد
word-clear = امسح
word-forget = انساني
word-language = اللغة

## Every channel

answer-later = لا أستطيع الرد الآن. وصلتني رسالتك وسأرد حالما أستطيع.
given-up = عذرًا، لم أستطع الرد على رسالتك الأخيرة. أعد إرسالها لاحقًا من فضلك.
perhaps-lost = ربما لم تصلك رسالتي الأخيرة كاملة. إن نقص شيء فاسألني مرة أخرى.
stopped-here = توقفت هنا؛ اكتب «تابع» فأكمل
handed-over = أبلغت أحد الموظفين، وسيرد عليك هنا.
nobody-there = لا يوجد موظف الآن. تركت لهم ملاحظة وأواصل الرد عليك.
nobody-there-until = لا يوجد موظف الآن. يعودون: { $day } { $time }. تركت لهم ملاحظة وأواصل الرد عليك.
unknown-answer = لا أعرف ذلك.
person-answers = يرد عليك الآن أحد الموظفين.
ai-answers = يرد عليك الذكاء الاصطناعي من جديد.
looks-like-a-machine = يبدو أن جهازين يتراسلان، لذلك سأتوقف عن الرد قليلًا. إن كنت شخصًا فاكتب لاحقًا.
private = هذا رقم خاص فلا أستطيع الرد. اطلب من صاحبه إضافتك.

cannot-answer = لا أستطيع الرد على هذا. اسأل بطريقة أخرى من فضلك.
question-too-long = هذه الرسالة طويلة جدًا. أرسل أقصر منها.
pictures-unsupported = لا أستطيع رؤية الصور بعد. صفها بالكلمات.
voice-unsupported = لا أستطيع الاستماع إلى الرسائل الصوتية بعد. اكتبها من فضلك.
video-unsupported = لا أستطيع مشاهدة الفيديو بعد. صفه بالكلمات من فضلك.
file-unsupported = لا أستطيع فتح ذلك. صفه بالكلمات من فضلك.
file-too-large = هذا الملف كبير جدًا علي. صفه بالكلمات من فضلك.
file-empty = وصل هذا الملف فارغًا. أرسله مرة أخرى من فضلك.
file-lost = لم أتمكن من فتح ما أرسلته. أرسله مرة أخرى من فضلك.
voice-silent = لم أسمع أي كلمات فيها. قلها مرة أخرى أو اكتبها من فضلك.
set-up-wrongly = لم أستطع الرد. ليس الخطأ منك: هناك إعداد خاطئ لدي.
no-usable-answer = لم أحصل على جواب صالح. اسأل بطريقة أخرى من فضلك.

over-day = رسائل كثيرة في يوم واحد! اكتب غدًا من فضلك.
over-minute = رسائل كثيرة دفعة واحدة! انتظر دقيقة من فضلك.
over-spending = لا أستطيع الرد أكثر حاليًا. حاول في يوم آخر.
over-user-spending = هذا كل ما أستطيع إرساله اليوم. اكتب غدًا.

name-empty = يحتاج الاسم إلى حرف واحد على الأقل.
name-too-long = الاسم طويل جدًا: { $limit } حرفًا على الأكثر.
name-not-one-line = يجب أن يكون الاسم في سطر واحد دون رموز تحكم.
name-damaged = وصلت بعض حروف الاسم تالفة.
name-reserved = عذرًا، { $name } كلمة محجوزة ولا تصلح اسمًا.

language-set = تم: سأكتب لك بالعربية من الآن.
language-automatic = تم: سأكتب من الآن باللغة التي تستخدمها.

## Operators

operator-sent = أُرسلت إلى { $name }. الذكاء الاصطناعي صامت هناك.
operator-not-sent = لم تُرسل إلى { $name }: { $why }.
operator-unreachable = لا يمكن الوصول إليه الآن
operator-handed-back = الذكاء الاصطناعي يرد على { $name } من جديد.
operator-waits = بانتظارك: { $who }
operator-how-to-reply = أجب عن هذه الرسالة للرد عليه، أو أجب بـ { LTR("/back") } ليواصل الذكاء الاصطناعي.

## SMS

sms-introduction = هذا مساعد آلي.
sms-introduction-of = هذا { $program }، مساعد آلي.
sms-contact = للتواصل: { $contact }.
sms-ask-name =
    مرحبًا! { $introduction } ما اسمك؟ أرسل الاسم= واسمك، مثل: الاسم=سارة
    أرسل { LTR("STOP") } لإيقاف الرسائل.
sms-welcome = تشرفنا، { $name }! اسأل ما تشاء. لتغيير اسمك أرسل الاسم= والاسم الجديد.
sms-renamed = تم! سأناديك { $name } من الآن.
sms-how-to-name = جرّب هكذا: الاسم=سارة
sms-back = أهلًا بعودتك! اسأل ما تشاء.
sms-stopped = لن تصلك رسائل من هذا الرقم. أرسل { LTR("START") } للعودة.
sms-help =
    هذا مساعد آلي: أرسل سؤالًا فيرد. أرسل { word-clear } لينسى ما كتبت، أو { word-forget } لينسى اسمك أيضًا، أو { word-language } لاختيار اللغة. أرسل { LTR("STOP") } لإيقاف الرسائل.
sms-only-at = أجيب على الرسائل القصيرة (SMS) فقط: أرسل رسالة إلى { $number }.
sms-only = أجيب على الرسائل القصيرة (SMS) فقط.
sms-cleared = تم: نسيت ما كتبناه. أرسل { word-forget } لأنسى اسمك أيضًا.
sms-forgotten = تم: نسيتك ونسيت ما كتبناه.
sms-empty-text = وصلت رسالتك فارغة. أعد إرسالها من فضلك.
sms-too-long = هذا طويل جدًا: أقل من { $limit } حرف من فضلك.
sms-empty-answer = عذرًا، لا جواب لدي. قلها بطريقة أخرى.
sms-cut = قُطع هنا: أطول من الرسائل. اطلب مني المتابعة.
sms-more = أرسل { word-more } للباقي.
sms-languages = أكتب لك بالعربية. للغة أخرى أرسل اللغة= وأحد هذه: { $codes }، أو auto للغة التي تستخدمها.

## Telegram

telegram-hello = مرحبًا، **{ $name }**!
telegram-hello-again = أهلًا بعودتك، **{ $name }**!
telegram-welcome =
    { $hello } أنا مساعد آلي: اسألني ما تشاء.

    هل أناديك باسم آخر؟ أرسل { LTR("/setname") } واسمك. { LTR("/help") } يعرض ما أستطيع فعله.
telegram-welcome-group = مرحبًا! أنا مساعد آلي: اذكرني أو رُدّ عليّ فأجيب. { LTR("/help") } يعرض ما أستطيع فعله.
telegram-help = اكتب لي كما تكتب لصديق؛ أتذكر رسائلنا الأخيرة.
telegram-unknown-command = لا أعرف { $command } بين الأوامر. { LTR("/help") } يعرض ما أستطيع فعله.
telegram-renamed = شكرًا! سأناديك من الآن **{ $name }**.
telegram-bad-name = جرّب هكذا: { LTR("/setname Sara") }
telegram-how-to-name = أرسله هكذا: { LTR("/setname Sara") }
telegram-private-name = أخبرني باسمك في محادثة خاصة معي من فضلك.
telegram-cleared =
    { $count ->
        [0] لم يكن هناك ما أنساه.
        [one] تم: حذفت رسالة واحدة.
        [two] تم: حذفت رسالتين.
        [few] تم: حذفت { $count } رسائل.
        [many] تم: حذفت { $count } رسالة.
       *[other] تم: حذفت { $count } رسالة.
    }
telegram-topic-cleared = تم: حذفت رسائلنا في هذا الموضوع.
telegram-facts = **ما أعرفه عنك**

    - الاسم: { $name }
    - اسم المستخدم في تيليجرام: { $username }
    - المحادثة: { $chat }
    - أول ظهور: { $since }
    - الرسائل المحفوظة: { $count }

    يرى الذكاء الاصطناعي اسمك وآخر ما تبادلناه، { $exchanges } على الأكثر. { LTR("/clear") } يحذف محادثتنا.
telegram-no-username = لا يوجد
telegram-edited = رأيت أنك عدّلت رسالة. أرد على الرسائل الجديدة فقط، فأعد إرسالها من فضلك.
telegram-empty-text = نعم؟ اكتب سؤالك فأجيب.
telegram-late-answer = لم أكن متاحًا حين كتبت هذا، لذلك يصل ردي متأخرًا.
telegram-nothing-to-stop = لا أكتب شيئًا الآن.
telegram-admins-only = هذا لمشرفي هذه المجموعة فقط.
telegram-admins-unknown = لم أستطع معرفة هل أنت مشرف هنا. حاول مرة أخرى من فضلك.
telegram-cut = كان الجواب أطول، وحُذف الباقي.
telegram-empty-answer = كان الجواب فارغًا.
telegram-languages = أكتب لك **بالعربية**. للغة أخرى أرسل { LTR("/language") } ورمزها، مثل { LTR("/language en") }:
telegram-language-automatic = اللغة التي تستخدمها
telegram-press-stop = إيقاف
telegram-press-continue = متابعة
telegram-press-again = مرة أخرى
telegram-press-shorter = أقصر
telegram-press-longer = أطول
telegram-press-forget = حذف كل شيء
telegram-press-keep = إلغاء
telegram-part-of-above = (صار هذا جزءًا من الجواب أعلاه.)
telegram-button-gone = لم يعد هذا الزر يعمل.
telegram-button-old = هذا الجواب أقدم من أن يُغيَّر. اسألني مرة أخرى فأجيب من جديد.
telegram-button-of-others = لا يستخدم هذه الأزرار إلا من سأل.
telegram-forget-question = سيحذف هذا كل ما أحفظه عنك هنا: رسائلنا واسمك وإعداداتك. لا يمكن التراجع عنه. هل أحذف كل شيء؟
telegram-forgotten = تم: حذفت كل ما كنت أحفظه عنك هنا.
telegram-kept = لم يُحذف شيء.
telegram-please-repeat = أرسل ذلك مرة أخرى في رسالة جديدة من فضلك.
telegram-one-model = يجيب هنا نموذج واحد ولا يمكن اختياره.
telegram-models-unknown = لم أستطع معرفة النماذج المتاحة. حاول مرة أخرى من فضلك.
telegram-export-formats = أستطيع كتابتها بصيغة { LTR("md") } أو { LTR("json") }: { LTR("/export json") }
telegram-nothing-to-export = لا شيء للتصدير بعد.
telegram-exported-you = أنت
telegram-exported-assistant = المساعد
telegram-models = **النماذج التي يمكنك اختيارها**
telegram-model-now = الحالي
telegram-models-more = و{ $count } غيرها
telegram-choose-model = اختر واحدًا هكذا: { LTR("/model NAME") }
telegram-no-such-model = لا أعرف نموذجًا باسم { $name } يمكنك اختياره.
telegram-model-chosen = من الآن يجيبك { $name }.
telegram-usage = **اليوم** ({ LTR("UTC") }): عدد الأسئلة { $count }، الكلفة { $usd } دولار.
telegram-usage-limit = يمكنك طرح { $limit } خلال 24 ساعة.
telegram-exported = هذه محادثتنا. عدد الرسائل: { $count }.
telegram-code-in-file = الشيفرة في الملف **{ $name }**. عدد الأسطر: { $count }.

## WhatsApp

whatsapp-stopped = لن تصلك رسائل من هذا الرقم. اكتب { LTR("START") } للعودة.
whatsapp-help = أنا مساعد آلي: اكتب سؤالًا فأجيب. اكتب { word-clear } لأنسى ما كتبناه، أو { word-forget } لأنسى اسمك أيضًا، أو { word-language } لاختيار اللغة. اكتب { LTR("STOP") } لإيقاف الرسائل.
whatsapp-cleared = تم: نسيت ما كتبناه. اكتب { word-forget } لأنسى اسمك أيضًا.
whatsapp-empty-text = وصلت رسالتك فارغة. أعد إرسالها من فضلك.
whatsapp-cut = قُطع هنا: أطول من الرسائل. اطلب مني المتابعة.

## The demo, which answers while no AI is connected. Markdown; names of settings stay as they are

demo-hello = مرحبًا!
demo-hello-name = مرحبًا، { $name }!
demo-introduction =
    أنا العرض التجريبي لهذا البرنامج: **لست ذكاءً اصطناعيًا**، بل أسئلة شائعة قليلة تعمل بلا إنترنت. جرّب:

    - «ماذا يمكنك أن تفعل؟»
    - «ماذا قلت من قبل؟»
    - «كيف أربط الذكاء الاصطناعي؟»
demo-abilities = بلا ذكاء اصطناعي أجيب عن أسئلة قليلة: ما هذا، وكم يكلف، وكيف تربط ذكاءً اصطناعيًا حقيقيًا.
demo-how-to-connect = **لست ذكاءً اصطناعيًا**، بل عرض تجريبي يجيب من أسئلة شائعة قليلة. لربط ذكاء اصطناعي حقيقي ضع { LTR("`OPENROUTER_API_KEY`") } في الملف { LTR("`.env`") } أو شغّل Ollama على هذا الجهاز.
demo-nothing-earlier = هذه أول رسالة أراها منك. اسألني لاحقًا مرة أخرى: «ماذا قلت من قبل؟»
demo-unseen = لا أستطيع أن أرى أو أسمع ما أرسلته معها: **لست ذكاءً اصطناعيًا**، بل مجرد عرض تجريبي.
demo-no-answer = لا أستطيع الإجابة عن هذا: أنا مجرد عرض تجريبي بأسئلة شائعة قليلة، ولست ذكاءً اصطناعيًا. اسأل: «ماذا يمكنك أن تفعل؟» أو «كيف أربط الذكاء الاصطناعي؟»
demo-quoted = من *{ $title }*:
demo-thanks = على الرحب والسعة!
demo-goodbye = إلى اللقاء! اكتب متى شئت.

## The menu of Telegram

menu-start = إلقاء التحية
menu-help = ما أستطيع فعله
menu-stop = إيقاف الجواب الذي أكتبه
menu-setname = أخبرني باسمك: { LTR("/setname Sara") }
menu-language = اختيار لغتي
menu-clear = نسيان محادثتنا
menu-status = ما أعرفه عنك
menu-model = أي نموذج ذكاء اصطناعي يجيب
menu-usage = ما استخدمته اليوم
menu-export = محادثتنا في ملف: { LTR("/export json") }
menu-forget = حذف كل ما أحفظه عنك
menu-admin = أرقام البوت
