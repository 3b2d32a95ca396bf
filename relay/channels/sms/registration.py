"""How a person gives a name in a text: by the command `name=`, in a sentence, or as the bare answer to our prompt."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from relay.core.text import folded


@dataclass(frozen=True, slots=True)
class StatedName:
    """The name in a text, and the rest of the text, a message of its own, or None."""

    name: str
    rest: str | None = None


MAX_NAME_WORDS = 3

# Written without spaces, so that a sentence is one word: more than four signs, or one that greets or asks.
_CHINESE_SENTENCE = re.compile(
    r"[\u4e00-\u9fff]{5}|[吗呢吧嗎么麼什几幾谁誰哪怎您]|多少|你好|谢谢|謝謝|好的|可以|没有|我想|我要|是我|我是|客人|顾客|客户|会员|学生|生病|饿|在吗|开门|关门|订|外卖"
)

_COMMAND = re.compile(
    r"\s*(?:name|nombre|nom|nome|имя|[иі]м['\u2019\u02bc]?я|名字|姓名|الاسم|اسم|नाम)\s*[=\uff1d](.*)",
    re.IGNORECASE | re.DOTALL,
)
_NAME_AND_REST = (
    re.compile(r"\s*([^,;!?\n]*[^,;!?\n\s])\s*[,;!\n]+\s*(\S+\s+\S.*|\S*\?)\s*", re.DOTALL),
    re.compile(r"\s*([^.?\n]{2,}[^.?\n\s])\.\s+(.*\?)\s*", re.DOTALL),
    re.compile(r"\s*(\w[\w'\u2019-]*)\s+(\w.*\?)\s*", re.DOTALL),
)
_HELLO = """
hi hello hey hiya hola hallo moin bonjour salut ciao buongiorno olá ola oi привет здравствуйте привіт вітаю 你好 您好
مرحبا مرحبًا أهلا नमस्ते ok okay yes sure thanks sí si oui ja sim да так 好的 نعم हाँ
"""
_GREETING = rf"(?:{'|'.join(_HELLO.split())}|good \w+|buen[ao]s \w+|guten \w+|добр\w+ \w+|السلام عليكم)"
_OPENING = rf"\W{{0,5}}(?:{_GREETING}\W{{1,5}}){{0,2}}"  # bounded, as is all that may be tried at each sign of a text
# What introduces a name and nothing else, so it counts at any time.
_SENTENCE = re.compile(
    rf"{_OPENING}(?:(?:my|the) name(?:\s+is|['\u2019]?s)|name\s*(?::|is\b)|call me|me llamo|mi nombre(?: es|:)|"
    r"je m['\u2019]appelle|mon (?:pr[eé])?nom(?: est|:)|ich hei(?:ss|ß)e|mein name(?: ist|:)|mi chiamo|"
    r"il mio nome(?: [eè]|:)|(?:o )?meu nome(?: [eé]|:)|(?:eu )?me chamo|chamo-me|"
    r"ik heet|mijn naam is|jag heter|jeg hedder|jeg heter|nazywam si[eę]|mam na imi[eę]|"
    r"меня зовут|зовут меня|мо[её] имя|мене (?:звати|звуть)|(?:звати|звуть) мене|моє ім['\u2019\u02bc]?я|"
    r"我叫|我的名字[是叫]|(?:أنا |انا )?اسمي|मेरा नाम)"
    r"\s*:?\s*(?P<name>.+?)(?:\s+है\W{0,5})?",
    re.IGNORECASE | re.DOTALL,
)
# What introduces a name only in the answer to our prompt: "I'm late" and "call me back" introduce none.
_INTRODUCTIONS = (
    r"(?:i\s?['\u2019]?\s?a?m|it['\u2019]?s|it is|this is|that['\u2019]?s)(?: me\b[,:]?)?(?: called)?",
    r"(?:(?:you can|please|just|people|they|everybody|everyone|(?:my )?friends) )?calls? me|i go by",
    r"soy(?: yo,?)?(?: el| la)?|habla|me dicen|me llaman|ll[aá]mame|ll[aá]meme",
    r"je suis|moi,? c['\u2019]est|c['\u2019]est(?: moi,?)?|ici|on m['\u2019]appelle|appel\w+[- ]moi",
    r"ich bin(?:['\u2019]?s,?)?(?: der| die)?|hier(?: ist| spricht)|nenn\w*(?: sie)? mich",
    r"sono(?: io,?)?|qui|mi chiamano|chiamami",
    r"(?:eu )?sou(?: eu,?)?(?: o| a)?|aqu[ií](?: [eé])?(?: o| a)?|[eé] [oa]|(?:pode )?me cham(?:ar|e)(?: de)?",
    r"ik ben(?: het,?)?|jestem",
    r"это(?: я[,:]?)?|я|зовите меня",
    r"це(?: я[,:]?)?|клич(?:те|уть) мене",
    r"(?:أنا|انا)[\u060c,:]?|معك|هذا|هذه|نادني|ينادونني",
    r"मैं(?: हूँ,?)?|मुझे(?=.* (?:बुलाओ|बुलाइए|कहो|कहते हैं))",
)
_SHORT_SENTENCE = re.compile(
    rf"{_OPENING}(?:(?:{'|'.join(_INTRODUCTIONS)})\s+|(?:是我|我是|叫我)[\uff0c,\s]*)(?P<name>.+?)"
    r"(?:\W{1,5}(?:here|speaking))?(?:\s+(?:हूँ|हूं|बोल रह[ाी] हूँ|बुलाओ|बुलाइए|कहो|कहते हैं)\W{0,5})?",
    re.IGNORECASE | re.DOTALL,
)
_NAME_FIRST = re.compile(
    rf"{_OPENING}(?P<name>.+?)\W{{1,5}}(?:here|speaking|hier|ici|aqu[ií]|qui)\W{{0,5}}", re.IGNORECASE | re.DOTALL
)

_WORDS = """
hi hello hey hiya howdy yo sup greetings hola hallo moin servus bonjour salut bonsoir ciao
buongiorno ola oi namaste salaam salam shalom privet welcome morning afternoon evening night goodbye
bye thanks thank thx ty cheers danke merci gracias grazie obrigado obrigada please pls plz bitte
sorry yes yeah yep yup no nope nah ok okay k sure fine good great cool nice maybe perhaps nothing
none never si sí oui ja nein non não da niet who whom whose what whats when where why which how hows
is are am was were be been do does did can could would shall should might must have has had get got
give tell show find need want wanna like know see say ask open opened opening closed closing close
buy sell order book cancel pay return exchange deliver ship repair work works come go going call
text send stop start help info test testing more less again wer wann wo warum wie welche quien quién
que qué cuando cuándo donde dónde como cómo cual cuál qui quoi quand où comment pourquoi chi che
cosa dove quando perché quem onde porque wat wanneer waar hoe i im ive me my mine you your yours he
she it its we us our they them their this that these those there here a an the and or but not if of
for from with without about to in on at by up out off any some all every each hours price prices
pricing cost costs menu address location directions phone number email website appointment
appointments reservation reservations booking delivery pickup refund warranty service services
support sales shop store staff manager owner human agent robot bot ai machine someone anybody anyone
somebody nobody question questions problem issue emergency urgent weather news joke today tomorrow
tonight yesterday now later soon monday tuesday wednesday thursday friday saturday sunday late lost
hungry tired sick ill busy sad happy bored interested looking wrong stranger unknown anonymous
unsubscribe name
asap back busy broken open closed waiting interested allergic vegan vegetarian pregnant customer client member guest
urgent free available ready done leaving outside inside driving called here speaking one two three four pizza pizzas
options table delivery takeaway food drinks room rooms birthday wedding kids dog dogs parking wifi
aquí aqui alérgico alérgica alergico cliente enfermo enferma urgente abierto abierta abiertos cerrado listo nuevo estoy
aberto aberta fechado fechada doente ici combien ouvert ouverte ouverts fermé fermée malade allergique perdu client moi
bien prêt hier ist sind krank allergisch jemand niemand offen geschlossen dringend kunde kundin müde spricht
aperto aperti aperta chiuso chiusi malato malata allergico allergica qui io pronto cliente eu bins soy sono sou
срочно я клиент болен опаздываю здесь тут открыто закрыто открыты закрыты работаете терміново клієнт хворий тут
відчинено зачинено أنا هنا جائع مريض زبون عميل مفتوح مغلق عاجل मैं यहाँ यहां बीमार भूखा ग्राहक खुला बंद
привет здравствуйте здравствуй добрый доброе день утро вечер ночи да нет спасибо пожалуйста хорошо ладно кто что где
когда почему зачем как какой какая какие сколько можно есть ли вы ты мне меня мой хочу нужно помощь вопрос цена заказ
адрес часы привіт вітаю добрий добридень ранку вечора так ні дякую будь ласка добре хто що де коли чому навіщо який яка
скільки можна ви ти мені мене хочу треба допомога питання ціна замовлення адреса
مرحبا أهلا السلام عليكم نعم لا شكرا من ما ماذا أين متى لماذا كيف كم هل أريد سعر عنوان مساعدة
नमस्ते नमस्कार हाँ हां नहीं धन्यवाद कौन क्या कहाँ कब क्यों कैसे कितना कितने मुझे मेरा चाहिए मदद कीमत पता
"""  # greetings, assent, question words, verbs, and what people ask a shop or an assistant about
NO_NAMES = frozenset(map(folded, _WORDS.split()))
"""Words that are in no name, folded: a text with one of them is a question. Will and May are names too."""


_SMALL_TALK = """
hi hello hey hiya howdy yo greetings hola hallo moin servus bonjour salut bonsoir ciao buongiorno ola oi namaste salam
good morning afternoon evening there ok okay yes yeah no thanks thank you please start help info test
guten tag morgen abend oui si sim ja nein merci danke gracias obrigado obrigada
привет здравствуйте добрый день утро вечер да нет спасибо привіт вітаю добрий дякую так ні
你好 您好 嗨 谢谢 好 好的 是 مرحبا أهلا السلام عليكم نعم لا شكرا नमस्ते नमस्कार हाँ नहीं धन्यवाद
"""
SMALL_TALK = frozenset(word for part in _SMALL_TALK.split() for word in folded(part).split())


def asks_nothing(text: str) -> bool:
    """Whether a text is no more than a greeting, an assent or a symbol, to which our prompt is answer enough."""
    return all(word in SMALL_TALK for word in folded(text).split())


def stated_name(text: str, *, asked: bool) -> StatedName | None:
    """The name that an unregistered person states; `asked`: this text follows our prompt for it. None for a question.

    The name of a command is returned as it is, valid or not; any other is letters only, one to three words.
    """
    if (command := name_command(text)) is not None:
        return command
    if found := _SENTENCE.fullmatch(text):
        return _plain_name(found["name"], asked=asked)
    if not asked:
        return None
    found = _SHORT_SENTENCE.fullmatch(text) or _NAME_FIRST.fullmatch(text)
    return _plain_name(found["name"] if found else text, asked=asked)


def name_command(text: str) -> StatedName | None:
    """The name in `name=...`; what follows it as another sentence is the rest."""
    command = _COMMAND.fullmatch(text)
    if command is None:
        return None
    written = command[1].strip()
    for pattern in _NAME_AND_REST:
        if (found := pattern.fullmatch(written)) and _is_name(found[1]):
            return StatedName(found[1], found[2].strip())
    return StatedName(written)


def _plain_name(text: str, *, asked: bool) -> StatedName | None:
    name = _without_marks(text)
    if _is_name(name):
        return StatedName(name)
    for pattern in _NAME_AND_REST[:2] if asked or "," in text else ():
        if (found := pattern.fullmatch(text)) and _is_name(name := _without_marks(found[1])):
            return StatedName(name, found[2].strip())
    return None


def _without_marks(text: str) -> str:
    """Without emoji, quotes and a final mark; a question mark stays, as it makes a question."""
    shown = "".join(char for char in text if unicodedata.category(char)[0] in "LMNZP" or char.isspace())
    return shown.strip().strip('.!,;:"\u201c\u201d()*-_~').strip()


def _is_name(text: str) -> bool:
    words = text.split()
    if not 1 <= len(words) <= MAX_NAME_WORDS or "\n" in text:
        return False
    return all(_is_name_word(word) for word in words)


def _is_name_word(word: str) -> bool:
    bare = word.strip(".").replace("'", "").replace("\u2019", "").replace("-", "")
    is_letters = bool(bare) and all(unicodedata.category(char)[0] in "LM" for char in bare)
    return is_letters and folded(bare) not in NO_NAMES and not _CHINESE_SENTENCE.search(bare)
