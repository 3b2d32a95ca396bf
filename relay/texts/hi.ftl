### हिन्दी

language-name = हिन्दी
language-in-English = Hindi

word-more = और
word-clear = मिटाओ
word-forget = मुझे भूल जाओ
word-language = भाषा

## Every channel

answer-later = अभी उत्तर नहीं दे सकता। आपका संदेश मिल गया है, जल्द ही उत्तर दूँगा।
given-up = क्षमा करें, आपके पिछले संदेश का उत्तर नहीं दे सका। कृपया बाद में फिर भेजें।
perhaps-lost = मेरा पिछला संदेश शायद पूरा नहीं पहुँचा। कुछ छूटा हो तो फिर पूछें।
stopped-here = यहाँ रोका गया; "जारी रखो" लिखें तो आगे लिखूँगा
handed-over = मैंने एक व्यक्ति को बता दिया है। वे आपको यहीं उत्तर देंगे।
nobody-there = अभी यहाँ कोई व्यक्ति नहीं है। मैंने सूचना छोड़ दी है और आगे भी उत्तर दूँगा।
nobody-there-until = अभी यहाँ कोई व्यक्ति नहीं है। वापसी: { $day }, { $time }. मैंने सूचना छोड़ दी है और आगे भी उत्तर दूँगा।
unknown-answer = यह मुझे नहीं पता।
person-answers = अब एक व्यक्ति आपको उत्तर देगा।
ai-answers = अब फिर AI आपको उत्तर देगा।
looks-like-a-machine = लगता है दो मशीनें बात कर रही हैं, इसलिए कुछ देर उत्तर नहीं दूँगा। आप इंसान हैं तो बाद में लिखें।
private = यह निजी नंबर है, इसलिए उत्तर नहीं दे सकता। इसके मालिक से कहें कि आपको जोड़ें।

cannot-answer = इसका उत्तर नहीं दे सकता। कृपया दूसरे ढंग से पूछें।
question-too-long = यह संदेश बहुत लंबा है। कृपया छोटा भेजें।
pictures-unsupported = अभी चित्र नहीं देख सकता। कृपया शब्दों में बताएँ।
voice-unsupported = मैं अभी आवाज़ वाले संदेश नहीं सुन सकता हूँ। कृपया लिखकर भेजें।
video-unsupported = मैं अभी वीडियो नहीं देख सकता हूँ। कृपया शब्दों में बताएँ।
file-unsupported = मैं इसे नहीं खोल सकता हूँ। कृपया शब्दों में बताएँ।
file-too-large = यह फ़ाइल मेरे लिए बहुत बड़ी है। कृपया शब्दों में बताएँ।
file-empty = यह फ़ाइल खाली आई। कृपया फिर से भेजें।
file-lost = आपने जो भेजा, वह खुल नहीं सका। कृपया फिर से भेजें।
voice-silent = इसमें कोई शब्द सुनाई नहीं दिया। कृपया फिर से कहें या लिखें।
set-up-wrongly = उत्तर नहीं दे सका। गलती आपकी नहीं: मेरी ओर कुछ गलत सेट है।
no-usable-answer = काम का उत्तर नहीं मिला। कृपया दूसरे ढंग से पूछें।

over-day = एक दिन में बहुत संदेश हो गए! कृपया कल लिखें।
over-minute = एक साथ बहुत संदेश! कृपया एक मिनट रुकें।
over-spending = अभी और उत्तर नहीं दे सकता। कृपया किसी और दिन लिखें।
over-user-spending = आज इतना ही भेज सकता हूँ। कृपया कल लिखें।

name-empty = नाम में कम से कम एक अक्षर चाहिए।
name-too-long = नाम बहुत लंबा है: अधिकतम { $limit } अक्षर।
name-not-one-line = नाम एक पंक्ति में हो, नियंत्रण चिह्नों के बिना।
name-damaged = नाम के कुछ अक्षर ठीक नहीं पहुँचे।
name-reserved = { $name } का यहाँ विशेष अर्थ है, यह नाम नहीं हो सकता।

language-set = ठीक है: अब से हिन्दी में लिखूँगा।
language-automatic = ठीक है: अब से आपकी भाषा में लिखूँगा।

## Operators

operator-sent = { $name } को भेजा गया। वहाँ AI चुप है।
operator-not-sent = { $name } को नहीं भेजा गया: { $why }.
operator-unreachable = अभी संपर्क नहीं हो सकता
operator-handed-back = AI फिर { $name } को उत्तर देगा।
operator-waits = आपकी प्रतीक्षा में: { $who }
operator-how-to-reply = उत्तर देने के लिए इस संदेश का जवाब दें, या AI को जारी रखने के लिए जवाब में /back भेजें।

## SMS

sms-introduction = यह स्वचालित सहायक है।
sms-introduction-of = यह { $program } का स्वचालित सहायक है।
sms-contact = संपर्क: { $contact }।
sms-ask-name =
    नमस्ते! { $introduction } आपका नाम क्या है? ऐसे भेजें: नाम=आशा
    SMS बंद करने के लिए STOP भेजें।
sms-welcome = मिलकर खुशी हुई, { $name }! कुछ भी पूछें। नाम बदलने के लिए नाम= और नया नाम भेजें।
sms-renamed = ठीक है! अब से आपको { $name } कहूँगा।
sms-how-to-name = ऐसे फिर भेजें: नाम=आशा
sms-back = फिर से स्वागत है! कुछ भी पूछें।
sms-stopped = इस नंबर से अब SMS नहीं आएँगे। वापस आने के लिए START भेजें।
sms-help =
    यह स्वचालित सहायक है: प्रश्न भेजें, उत्तर मिलेगा। { word-clear } भेजें तो बातचीत भूल जाएगा, { word-forget } भेजें तो नाम भी, { word-language } भेजकर भाषा चुनें। SMS बंद करने के लिए STOP भेजें।
sms-only-at = मैं केवल SMS का जवाब देता हूँ: { $number } पर SMS भेजें।
sms-only = मैं केवल SMS का जवाब देता हूँ।
sms-cleared = ठीक है: हमारी बातचीत भूल गया। नाम भी भुलाने के लिए { word-forget } भेजें।
sms-forgotten = ठीक है: आपको और हमारी बातचीत को भूल गया।
sms-empty-text = आपका SMS खाली आया। कृपया फिर भेजें।
sms-too-long = यह बहुत लंबा है: { $limit } अक्षरों से कम रखें।
sms-empty-answer = क्षमा करें, इसका उत्तर नहीं है। दूसरे ढंग से कहें।
sms-cut = यहाँ काटा गया: SMS के लिए बहुत लंबा। आगे के लिए कहें।
sms-more = बाकी के लिए { word-more } भेजें।
sms-languages = मैं हिन्दी में लिखता हूँ। दूसरी भाषा के लिए भाषा= और { $codes } में से एक भेजें; भाषा=auto आपकी भाषा है।

## Telegram

telegram-hello = नमस्ते, **{ $name }**!
telegram-hello-again = फिर से स्वागत है, **{ $name }**!
telegram-welcome =
    { $hello } मैं स्वचालित सहायक हूँ: कुछ भी पूछें।

    किसी और नाम से पुकारूँ? /setname और अपना नाम भेजें। /help बताता है कि मैं क्या कर सकता हूँ।
telegram-welcome-group = नमस्ते! मैं स्वचालित सहायक हूँ: मेरा उल्लेख करें या मुझे जवाब दें, मैं उत्तर दूँगा। /help बताता है कि मैं क्या कर सकता हूँ।
telegram-help = मुझे मित्र की तरह लिखें; मुझे हमारे पिछले संदेश याद रहते हैं।
telegram-unknown-command = मैं /{ $command } नहीं जानता। /help बताता है कि मैं क्या कर सकता हूँ।
telegram-renamed = धन्यवाद! अब से आपको **{ $name }** कहूँगा।
telegram-bad-name = ऐसे लिखें: /setname आशा
telegram-how-to-name = ऐसे भेजें: /setname आशा
telegram-private-name = कृपया अपना नाम मुझे निजी चैट में बताएँ।
telegram-cleared =
    { $count ->
        [0] भूलने के लिए कुछ नहीं था।
        [one] ठीक है: { $count } संदेश हटाया।
       *[other] ठीक है: { $count } संदेश हटाए।
    }
telegram-topic-cleared = ठीक है: इस विषय के हमारे संदेश हटाए।
telegram-facts = **मैं आपके बारे में क्या जानता हूँ**

    - नाम: { $name }
    - Telegram उपयोगकर्ता नाम: { $username }
    - चैट: { $chat }
    - पहली बार: { $since }
    - रखे गए संदेश: { $count }

    AI आपका नाम और हमारी पिछली बातें देखता है, अधिकतम { $exchanges }। /clear हमारी बातचीत मिटाता है।
telegram-no-username = कोई नहीं
telegram-edited = आपने एक संदेश बदला। मैं केवल नए संदेशों का उत्तर देता हूँ, कृपया उसे फिर भेजें।
telegram-empty-text = जी? अपना प्रश्न लिखें, मैं उत्तर दूँगा।
telegram-late-answer = जब आपने यह लिखा, मुझ तक नहीं पहुँचा जा सकता था, इसलिए उत्तर देर से आया।
telegram-nothing-to-stop = मैं अभी कुछ नहीं लिख रहा।
telegram-admins-only = यह केवल इस समूह के प्रबंधक कर सकते हैं।
telegram-admins-unknown = पता नहीं चल सका कि आप यहाँ प्रबंधक हैं या नहीं। कृपया फिर कोशिश करें।
telegram-cut = उत्तर लंबा था; बाकी काट दिया गया।
telegram-empty-answer = उत्तर खाली था।
telegram-languages = मैं **हिन्दी** में लिखता हूँ। दूसरी भाषा के लिए /language और उसका कोड भेजें, जैसे /language en:
telegram-language-automatic = वह भाषा जिसमें आप लिखते हैं
telegram-press-stop = रोकें
telegram-press-continue = जारी रखें
telegram-press-again = फिर से
telegram-press-shorter = छोटा
telegram-press-longer = लंबा
telegram-press-forget = सब मिटाएँ
telegram-press-keep = रद्द करें
telegram-part-of-above = (यह अब ऊपर के उत्तर का हिस्सा है।)
telegram-button-gone = यह बटन अब काम नहीं करता।
telegram-button-old = यह उत्तर बदलने के लिए बहुत पुराना है। फिर पूछें, मैं नया उत्तर दूँगा।
telegram-button-of-others = ये बटन केवल पूछने वाला ही दबा सकता है।
telegram-forget-question = इससे यहाँ आपके बारे में रखा सब कुछ मिट जाएगा: हमारे संदेश, आपका नाम, आपकी सेटिंग। इसे वापस नहीं लाया जा सकता। सब मिटाएँ?
telegram-forgotten = ठीक है: यहाँ आपके बारे में रखा सब कुछ मिटा दिया।
telegram-kept = कुछ नहीं मिटाया गया।
telegram-please-repeat = कृपया इसे नए संदेश में फिर भेजें।
telegram-one-model = यहाँ एक ही मॉडल उत्तर देता है, उसे चुना नहीं जा सकता।
telegram-models-unknown = पता नहीं चल सका कि कौन से मॉडल हैं। कृपया फिर कोशिश करें।
telegram-export-formats = मैं इसे md या json में लिख सकता हूँ: /export json
telegram-nothing-to-export = अभी निर्यात के लिए कुछ नहीं है।
telegram-exported-you = आप
telegram-exported-assistant = सहायक
telegram-models = **चुनने योग्य मॉडल**
telegram-model-now = अभी
telegram-models-more = और { $count } अन्य
telegram-choose-model = ऐसे चुनें: /model नाम
telegram-no-such-model = { $name } नाम का कोई मॉडल चुना नहीं जा सकता।
telegram-model-chosen = अब से `{ $name }` आपको उत्तर देगा।
telegram-usage = **आज** (UTC): { $count } प्रश्न, { $usd } डॉलर।
telegram-usage-limit = 24 घंटे में { $limit } पूछ सकते हैं।
telegram-exported = यह हमारी बातचीत है: { $count } संदेश।
telegram-code-in-file = कोड फ़ाइल **{ $name }** में है ({ $count } पंक्तियाँ)।

## WhatsApp

whatsapp-stopped = इस नंबर से अब संदेश नहीं आएँगे। वापस आने के लिए START लिखें।
whatsapp-help = मैं स्वचालित सहायक हूँ: प्रश्न लिखें, मैं उत्तर दूँगा। { word-clear } लिखें तो बातचीत भूल जाऊँगा, { word-forget } लिखें तो नाम भी, { word-language } लिखकर भाषा चुनें। संदेश बंद करने के लिए STOP लिखें।
whatsapp-cleared = ठीक है: हमारी बातचीत भूल गया। नाम भी भुलाने के लिए { word-forget } लिखें।
whatsapp-empty-text = आपका संदेश खाली आया। कृपया फिर भेजें।
whatsapp-cut = यहाँ काटा गया: संदेशों के लिए बहुत लंबा। आगे के लिए कहें।

## The demo, which answers while no AI is connected. Markdown; names of settings stay as they are

demo-hello = नमस्ते!
demo-hello-name = नमस्ते { $name }!
demo-introduction =
    मैं इस प्रोग्राम का डेमो हूँ: **AI नहीं**, केवल कुछ सामान्य प्रश्न जो बिना इंटरनेट के चलते हैं। आज़माएँ:

    - “आप क्या कर सकते हैं?”
    - “मैंने पहले क्या कहा?”
    - “AI कैसे जोड़ें?”
demo-abilities = AI के बिना मैं कुछ ही प्रश्नों के उत्तर दे सकता हूँ: यह क्या है, इसका खर्च कितना है, असली AI कैसे जोड़ें।
demo-how-to-connect = मैं **AI नहीं हूँ**, केवल एक डेमो हूँ जो कुछ सामान्य प्रश्नों के उत्तर देता है। असली AI जोड़ने के लिए `.env` फ़ाइल में `OPENROUTER_API_KEY` लिखें, या इस मशीन पर Ollama चलाएँ।
demo-nothing-earlier = यह आपका पहला संदेश है जो मुझे दिख रहा है। बाद में फिर पूछें: “मैंने पहले क्या कहा?”
demo-unseen = आपने साथ में जो भेजा, उसे मैं देख या सुन नहीं सकता: मैं **AI नहीं हूँ**, केवल एक डेमो हूँ।
demo-no-answer = इसका उत्तर मैं नहीं दे सकता: मैं कुछ सामान्य प्रश्नों वाला एक डेमो हूँ, AI नहीं। पूछें “आप क्या कर सकते हैं?” या “AI कैसे जोड़ें?”
demo-quoted = *{ $title }* से:
demo-thanks = आपका स्वागत है!
demo-goodbye = नमस्ते! जब चाहें फिर लिखें।

## The menu of Telegram

menu-start = नमस्ते कहें
menu-help = मैं क्या कर सकता हूँ
menu-stop = जो उत्तर लिख रहा हूँ उसे रोकें
menu-setname = अपना नाम बताएँ: /setname आशा
menu-language = मेरी भाषा चुनें
menu-clear = हमारी बातचीत भूल जाएँ
menu-status = मैं आपके बारे में क्या जानता हूँ
menu-model = कौन सा AI मॉडल उत्तर देता है
menu-usage = आज आपने कितना उपयोग किया
menu-export = हमारी बातचीत फ़ाइल में: /export json
menu-forget = आपके बारे में रखा सब कुछ मिटाएँ
menu-admin = इस बॉट के आँकड़े
