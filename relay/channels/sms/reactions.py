"""Recognises reactions to our texts, which telephones send as texts to those that take no others: Liked “...”.

The wording depends on the telephone and its language. Certain is only that it quotes what we sent, so a known wording
needs the beginning of one of our texts, and any other short wording a whole one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from relay.core.messages import HistoryMessage
from relay.core.text import folded

_OPEN = '"\u201c\u201d\u201e\u00ab\u201f\u2039\u300c\u300e'
_CLOSE = '"\u201c\u201d\u00bb\u203a\u300d\u300f'
_NUMBER = re.compile(r"\s*\(\d+/\d+\)\s*")
_ELLIPSIS = ("...", "…")
_MAX_OTHER_WORDS = 6
_MAX_LENGTH = 2000
"""Our longest part and the wording; in characters."""

_MAX_QUOTES = 6
_MAX_BEFORE = 80
"""Where the quotation of a reaction begins at the latest, in characters."""

_MIN_WORDS, _MIN_CHARS = 3, 10

# How telephones word it, folded; * is the quotation. iOS and Google Messages.
_WORDINGS = """
loved *|liked *|disliked *|laughed at *|emphasized *|emphasised *|questioned *|reacted to *|reacted with to *|to *
|removed from *|removed a heart from *|removed a like from *|removed a dislike from *|removed a laugh from *
|removed an exclamation from *|removed an exclamation mark from *|removed a question mark from *
|removed a reaction from *|reacted with a sticker to *
|le encanto *|le gusto *|no le gusto *|se rio de *|enfatizo *|exclamo *|pregunto *|reacciono a *|reacciono con a *
|elimino un corazon de *|elimino un me gusta de *|quito de *|dio me gusta a *
|a adore *|a aime *|n a pas aime *|a ri a *|a souligne *|a mis en avant *|a questionne *|a reagi a *|a reagi avec a *
|a retire un cœur de *|a supprime un cœur de *|a supprime de *
|liebt *|mag *|gefallt *|gefallt nicht *|gefallt mir *|lacht uber *|betont *|hinterfragt *|hat auf * reagiert
|hat mit auf * reagiert|reagierte auf *|reagiert auf *|reagierte mit auf *|herz von * entfernt|hat von * entfernt
|ha adorato *|ha messo mi piace a *|piace *|non piace *|ha riso a *|ha riso per *|ha evidenziato *|ha reagito a *
|ha reagito con a *|ha rimosso un cuore da *
|amou *|adorou *|curtiu *|gostou de *|nao curtiu *|nao gostou de *|riu de *|enfatizou *|destacou *|questionou *
|reagiu a *|reagiu com a *|removeu um coracao de *|removeu de *
|vond * leuk|vindt * leuk|hield van *|lachte om *|benadrukte *|reageerde op *|reageerde met op *
|alskade *|gillade *|ogillade *|skrattade at *|betonade *|reagerade pa *|reagerade med pa *
|elskede *|elsket *|likte *|synes godt om *|reagerede pa *|reagerte pa *
|uwielbia *|lubi *|nie lubi *|smieje sie z *|podkresla *|zareagowano na *|reakcja na *
|понравилось *|нравится *|не понравилось *|реакция на *|* нравится|отреагировал на *|отреагировала на *
|* begendi|* sevdi|* tepki verdi|喜欢 *|喜欢了 *|喜歡 *|喜歡了 *|赞了 *|不喜欢 *|强调了 *|大笑 *
|对 * 点了赞|对 * 做出了回应
|* を強調しました|* に対していいねしました|* をいいねと評価しました
|* にリアクションしました|* 에 반응함|* 에 하트를 표시함|* 을 좋아함
"""
_THINGS = """
an image|an photo|a photo|a picture|a video|a movie|an attachment|a sticker|a gif|an audio message|a voice message
|a link|a contact|a location|a file|una imagen|una foto|un video|une image|une photo|une video|ein bild|ein foto
|ein video|un immagine|una immagine|uma imagem|uma foto|um video|een afbeelding|een foto|een video|en bild|et bilde
|et billede|obraz|zdjecie|изображение|фото|一张图片|图片|照片|画像|写真|이미지|사진
"""
_KNOWN = frozenset(_WORDINGS.replace("\n", "").split("|"))
_OF_THINGS = frozenset(
    wording.replace("*", thing) for wording in _KNOWN for thing in _THINGS.replace("\n", "").split("|")
)
# With one of these words a quotation belongs to a request about it.
_REQUEST_WORDS = """
what why who how when where which mean means translate explain repeat say said read define spell rewrite rephrase
reword summarize summarise shorten expand correct again resend send sure wrong incorrect true false really you your
i my we please can could do does did is are was about regarding instead same make write tell not change replace
traduce traducir traduza traduz traduis traduire traduci traduzca ubersetze ubersetz ubersetzen erklare erklar was
warum wieso que quoi cosa perche pourquoi porque explica explique explicar spiega repite repete repetez
wat waarom vertaal co dlaczego przetlumacz что почему переведи объясни ne neden cevir
"""
_REQUESTS = frozenset(_REQUEST_WORDS.split())
_REQUEST_SIGNS = ("翻译", "翻譯", "解释", "解釋", "什么", "什麼", "为什么", "訳", "説明", "번역", "설명", "무엇")


def is_reaction(text: str, history: Sequence[HistoryMessage]) -> bool:
    """Whether the whole text is a reaction to one of our texts in the history, or to a picture."""
    if folded(text) in _OF_THINGS:
        return True
    if len(text) > _MAX_LENGTH:
        return False
    ours = [folded(past.message) for past in history if past.role == "assistant"]
    end = max(map(text.rfind, _CLOSE))
    starts = [found.start() for found in re.finditer(f"[{_OPEN}]", text[:_MAX_BEFORE])][:_MAX_QUOTES]
    return any(_is_reaction(text, start, end if end > start else len(text), ours) for start in starts)


def _is_reaction(text: str, start: int, end: int, ours: Sequence[str]) -> bool:
    """Whether a text with a quotation between these places, perhaps cut, is a reaction; `ours` are folded."""
    before, after = text[:start], text[end + 1 :]
    quotation = _Quotation(text[start + 1 : end].strip(), cut=end == len(text))
    if " ".join(part for part in (folded(before), "*", folded(after)) if part) in _KNOWN:
        return any(quotation.begins(message) for message in ours)
    return _may_be_a_wording(f"{before} {after}") and any(quotation.is_whole(message) for message in ours)


def _may_be_a_wording(around: str) -> bool:
    """Whether the text around a quotation is short and asks for nothing, or is no more than an emoji."""
    if "?" in around or any(sign in around for sign in _REQUEST_SIGNS):
        return False
    words = folded(around).split()
    if not words:
        return any(unicodedata.category(char) == "So" for char in around)
    return len(words) <= _MAX_OTHER_WORDS and _REQUESTS.isdisjoint(words)


class _Quotation:
    """A quotation, perhaps of one numbered part of a text, perhaps cut at its end."""

    def __init__(self, quoted: str, *, cut: bool) -> None:
        self._is_part = _NUMBER.match(quoted) is not None
        self._is_cut = cut or quoted.endswith(_ELLIPSIS)
        self._words = folded(_NUMBER.sub("", quoted, count=1))
        self._is_long = len(self._words.split()) >= _MIN_WORDS or len(self._words) >= _MIN_CHARS

    def is_whole(self, message: str) -> bool:
        """Whether it is all of a text of ours, as far as it was not cut."""
        if not self._is_long:
            return False
        if self._is_part and self._words in message:
            return True
        return message == self._words or (self._is_cut and message.startswith(self._words))

    def begins(self, message: str) -> bool:
        """Whether a text of ours begins with it."""
        if not self._words:
            return False
        return (
            message == self._words
            or self.is_whole(message)
            or (message.startswith(self._words) and (self._is_cut or len(self._words.split()) >= _MIN_WORDS))
        )
