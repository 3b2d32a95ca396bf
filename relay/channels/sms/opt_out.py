"""The wish to get no more texts, in other words than Twilio's keywords: the whole text says it, and nothing else.

Carriers and the FCC ask that any reasonable wording counts: 47 CFR 64.1200(a)(10), in force since April 2025. A
sentence in which such words occur ("cancel my order", "how do I stop the alarm") is none.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from relay.core.text import folded

_PHRASES = """
en: stop all|opt out|remove|cease|cease and desist|unsub|revoke consent|revoke my consent|i revoke my consent
    |withdraw consent|withdraw my consent|i withdraw my consent
de: stopp|abmelden|mich abmelden|melde mich ab|abbestellen|austragen|keine sms mehr|keine nachrichten mehr
    |nicht mehr schreiben|schreib mir nicht mehr|schreiben sie mir nicht mehr|hör auf|hör auf zu schreiben
    |hör auf mir zu schreiben|aufhören|ich möchte keine nachrichten mehr|ich will keine nachrichten mehr
es: alto|baja|parar|pare|cancelar|cancelar suscripción|darse de baja|darme de baja|dar de baja
    |quiero darme de baja|detener|no más mensajes|no más sms|no más textos|deja de escribirme
    |dejen de escribirme|no me escriban más|no me escribas más|deja de enviarme mensajes
    |dejen de enviarme mensajes|no quiero más mensajes|no quiero recibir mensajes
fr: arret|arrêter|arrête|arrêtez|arrêtez de m'écrire|arrête de m'écrire|désabonner|me désabonner
    |désabonnez-moi|désabonnement|désinscrire|désinscription|désinscrivez-moi|plus de messages|plus de sms
    |ne m'écrivez plus|ne m'écris plus|je ne veux plus de messages|je ne veux plus recevoir de messages
pt: sair|parem|descadastrar|me descadastre|cancelar inscrição|cancelar assinatura|pare de me mandar mensagens
    |parem de me mandar mensagens|não quero mais mensagens|não quero receber mensagens
    |não me mande mais mensagens|não me mandem mais mensagens|chega de mensagens
ru: стоп|отписаться|отписка|отпишите меня|отписать меня|не пишите мне|не пишите мне больше|больше не пишите
    |больше мне не пишите|не пиши мне|не пиши мне больше|прекратите писать|хватит писать|отменить подписку
    |не присылайте сообщения|не присылайте мне сообщения
uk: відписатися|відписка|відпишіть мене|не пишіть мені|не пишіть мені більше|більше не пишіть|не пиши мені
    |припиніть писати|досить писати|скасувати підписку|не надсилайте повідомлення
    |не надсилайте мені повідомлення
ar: إيقاف|أوقف|توقف|قف|توقفوا|أوقفوا الرسائل|أوقف الرسائل|إلغاء الاشتراك|ألغ اشتراكي|إلغاء اشتراكي
    |لا ترسلوا لي رسائل|لا ترسل لي رسائل|لا أريد رسائل|لا أريد المزيد من الرسائل
    |لا ترسل لي المزيد من الرسائل|لا ترسلوا لي أي رسائل|لا تراسلني|لا تراسلوني|لا أريد تلقي رسائل
    |لا أريد استلام رسائل
hi: बंद करो|बंद करें|बंद कीजिए|रोको|रोकें|संदेश बंद करो|संदेश बंद करें|मैसेज बंद करो|मैसेज बंद करें
    |मैसेज मत भेजो|संदेश मत भेजो|मुझे मैसेज मत भेजो|मुझे संदेश मत भेजो|सदस्यता रद्द करें
    |मैसेज न भेजें|मुझे मैसेज न भेजें|मुझे मैसेज मत भेजिए|मुझे संदेश न भेजें|मुझे एसएमएस मत भेजो|मुझे और मैसेज नहीं चाहिए
zh: 停止|退订|退訂|取消|取消订阅|取消訂閱|td|停止发送|停止發送|不要再发了|不要再發了|别发了|別發了|别再发了|別再發了
    |不要再发短信了|别再发短信了|不要给我发短信|不要再给我发短信
it: cancella|cancellami|disiscrivi|disiscrivimi|basta messaggi|non scrivetemi più|non scrivermi più
nl: afmelden|uitschrijven|geen berichten meer|stuur geen berichten meer
ja: 配信停止|停止してください
ko: 수신거부
he: הסר
"""
_COURTESY = """
bitte|danke|por favor|gracias|s'il vous plaît|s'il te plaît|svp|merci|obrigado|obrigada|пожалуйста|спасибо
|будь ласка|дякую|من فضلك|رجاء|شكرا|कृपया|प्लीज|धन्यवाद|请|請|谢谢|謝謝|per favore|grazie|alstublieft
"""
_LANGUAGE = re.compile(r"^[a-z]{2}:", re.MULTILINE)
_PHRASE_SET = frozenset(map(folded, _LANGUAGE.sub("|", _PHRASES).replace("\n", " ").split("|"))) - {""}
_COURTESIES = "|".join(sorted(map(folded, _COURTESY.replace("\n", " ").split("|")), key=len, reverse=True))
# Chinese is written without spaces.
_COURTEOUS = re.compile(rf"^(?:{_COURTESIES})(?: |(?<=[\u4e00-\u9fff]))|(?: |(?=[\u4e00-\u9fff]))(?:{_COURTESIES})$")

_POLITE = (
    r"(?:please|pls|plz|ok|okay|hey|hi|hello|just|enough|wrong number|thanks|thank you|can you|could you|i want to|"
    r"i wish to|i need to|i d like to|i would like to|i want you to)"
)
_TEXTS = r"(?:texts?|texting|messages?|messaging|msgs?|sms|alerts|updates|notifications)"
_TAIL = (
    r"(?: (?:me|us|it|this|that|these|those|all|any|the|your|my|more|of|from|to|on|off|out|up|at|here|now|pls|plz|"
    r"please|thanks|thank you|immediately|already|again|anymore|everything|texting|texts?|messaging|messages?|"
    r"msgs?|sms|contacting|calling|sending|receiving|getting|"
    r"writing|bothering|spamming|spam|number|list|service|updates|"
    r"alerts|notifications|promotional|marketing|automated|ads?))*"
)
_AFTERWARDS = r"(?: (?:please|pls|plz|thanks|thank you|now|immediately|anymore|any more|again|from you))*"
_STOP_PHRASE = re.compile(
    rf"(?:{_POLITE} )*(?:"
    rf"(?:stop|stopall|unsubscribe|unsub|optout|opt out|opt me out|remove me|(?:remove|delete) my number){_TAIL}|"
    rf"(?:take|get) me off{_TAIL}|"
    rf"(?:do not|don ?t|never|quit) (?:text|message|contact|call|write|texting|messaging|calling){_TAIL}|"
    rf"no more {_TEXTS}{_AFTERWARDS}|"
    rf"(?:end|quit|cancel|revoke) (?:please|(?:all |the |these |your )*{_TEXTS}){_AFTERWARDS}|"
    rf"(?:end|cancel|revoke|terminate) (?:my |this |the |your )?(?:text |sms |message )?subscriptions?{_AFTERWARDS}|"
    rf"i (?:do not|don ?t|no longer) (?:want|wish)(?: to (?:receive|get|have))?(?: any| more| these| your| further)* "
    rf"{_TEXTS}{_AFTERWARDS}|"
    rf"no longer (?:want|wish) to (?:receive|get) (?:any |more |these |your )*{_TEXTS}{_AFTERWARDS}|"
    rf"leave me alone{_AFTERWARDS})"
)

# In folded letters, as "й" is "и" there.
_OTHER_LANGUAGES = re.compile(
    r"hor(?:en sie|t)? (?:bitte |endlich )?(?:damit )?auf(?: (?:mir |"
    r"uns )?(?:zu schreiben|(?:sms|nachrichten) zu (?:schicken|senden)))?|"
    r"(?:schick|send|schreib)\w*(?: sie)? (?:mir|"
    r"uns) (?:bitte )?(?:keine (?:weiteren )?(?:sms|nachrichten)(?: mehr)?|nicht mehr|"
    r"nichts mehr)|ich (?:mochte|will|wunsche) keine (?:weiteren )?(?:sms|"
    r"nachrichten)(?: mehr)?(?: (?:bekommen|erhalten|haben))?|"
    r"nehm\w*(?: sie)? mich (?:bitte )?(?:aus|von) (?:der|ihrer|eurer|deiner) liste|"
    r"(?:dej|par)(?:a|e|en) de (?:escribir|mandar|enviar)me(?: (?:mas )?(?:mensajes|sms|textos))?(?: mas)?|"
    r"(?:ya )?no me (?:escrib|mand|envi)\w+ (?:mas(?: (?:mensajes|sms|textos))?|(?:mensajes|sms|textos)(?: mas)?)|"
    r"(?:ya )?no quiero (?:recibir )?(?:mas )?(?:mensajes|sms|textos)|(?:borr|quit|elimin)\w+me de (?:la|su|tu) lista|"
    r"(?:arret|cess)\w+ de m (?:ecrire|envoyer (?:des|vos|tes) (?:messages|sms|textos))|"
    r"ne m (?:ecri|envo)\w+ plus(?: (?:rien|(?:de )?(?:messages|sms|textos)))?|"
    r"je ne (?:veux|souhaite) plus (?:recevoir )?(?:de|vos) (?:messages|sms|textos)|"
    r"(?:retir|enlev|supprim)\w+ moi de (?:la|votre|ta) liste|"
    r"smett\w+ di (?:scriver|mandar|inviar)\w+(?: (?:messaggi|sms))?|"
    r"non (?:voglio|desidero) (?:piu )?(?:ricevere )?(?:piu )?(?:messaggi|sms)|"
    r"non (?:mand|invi)\w+ piu(?: (?:messaggi|sms|niente))?|(?:togli|rimuov|cancell)\w+ dalla (?:vostra |tua )?lista|"
    r"par(?:a|e|em) de me (?:escrever|mandar|enviar)(?: (?:mensagens|sms|textos))?|"
    r"nao me (?:mand|envi|escrev)\w+ (?:mais(?: (?:mensagens|sms|textos))?|(?:mensagens|sms|textos)(?: mais)?)|"
    r"nao quero (?:mais )?(?:receber )?(?:mais )?(?:mensagens|sms|textos)|(?:tir|remov)\w+ me da (?:sua )?lista|"
    r"(?:больше )?(?:мне )?(?:больше )?не (?:пиши(?:те)?|"
    r"присылаи(?:те)?|шли(?:те)?|отправляи(?:те)?)(?: мне)?(?: больше)?"
    r"(?: (?:смс|sms|сообщени[яи]))?|(?:прекратите|перестаньте|хватит) (?:мне )?(?:писать|слать|присылать)(?: мне)?"
    r"(?: (?:смс|sms|сообщения))?|я? ?не хочу (?:больше )?получать (?:больше )?(?:ваши |"
    r"от вас )?(?:смс|sms|сообщени[яи])|"
    r"(?:удалите|уберите) (?:меня из (?:списка|рассылки)|мои номер)|"
    r"(?:більше )?(?:мені )?(?:більше )?не (?:пиши|пишіть|надсилаи(?:те)?|"
    r"шліть)(?: мені)?(?: більше)?(?: (?:смс|sms|повідомлен\w+))?|"
    r"(?:припиніть|перестаньте|досить) (?:мені )?(?:писати|слати|надсилати)(?: мені)?(?: (?:смс|sms|повідомлення))?|"
    r"я? ?не хочу (?:більше )?отримувати (?:більше )?(?:ваші )?(?:смс|sms|повідомлен\w+)|"
    r"(?:不要|别|別|勿)再?(?:给我|給我)?(?:发送|發送|发|發|传|傳)(?:短信|信息|消息|简讯|簡訊)?(?:给我|給我)?了?|"
    r"我?不(?:想|要)再?(?:收到|接收|收)(?:你们的|你們的)?(?:短信|信息|消息|简讯|簡訊)了?"
)


def asks_to_stop(words: str) -> bool:
    """Whether folded words are, as a whole, the wish to get no more texts."""
    words = " ".join(map(_spelled, words.split())).replace("un subscribe", "unsubscribe")
    bare = words
    while (shorter := _COURTEOUS.sub("", bare)) != bare:
        bare = shorter.strip()
    return bare in _PHRASE_SET or any(phrase.fullmatch(bare) for phrase in (_STOP_PHRASE, _OTHER_LANGUAGES))


_MISSPELLED_STOP = re.compile(r"s+t+o{2,}p{2,}|s+t+o{3,}p+|s+t+op{2,}|s{2,}t+op+|st0p|sotp|stpo|tsop")
_LIKENESS = 0.84
_MAX_WORD = 16


def _spelled(word: str) -> str:
    """A misspelling of stop or unsubscribe as the word itself; "subscribe" and "stoop" are words of their own."""
    if _MISSPELLED_STOP.fullmatch(word):
        return "stop"
    like = word.startswith("un") and len(word) < _MAX_WORD
    return "unsubscribe" if like and SequenceMatcher(None, word, "unsubscribe").ratio() >= _LIKENESS else word
