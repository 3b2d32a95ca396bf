"""parse_mode HTML: the tags that Telegram knows, turned into entities (https://core.telegram.org/bots/api#html-style)."""

from __future__ import annotations

import re
from html import unescape

from relay.simulator.telegram_entities import Entity, units
from relay.simulator.telegram_params import BotError, bad_request

_TOKEN = re.compile(r"<(?P<close>/?)(?P<name>[A-Za-z][A-Za-z0-9-]*)(?P<rest>[^<>]*)>|(?P<text>[^<]+)|(?P<stray><)")
_ATTRIBUTE = re.compile(r"([A-Za-z-]+)\s*(?:=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")
_KNOWN_REFERENCE = re.compile(r"&(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")
_SIMPLE = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "code": "code",
    "pre": "pre",
}


def _failure(reason: str) -> BotError:
    return bad_request(f"can't parse entities: {reason}")


def parse_html(source: str) -> tuple[str, list[Entity]]:
    """Text and entities. Raises BotError for what Telegram cannot parse."""
    text, entities, opened = "", [], []
    for token in _TOKEN.finditer(source):
        if token["stray"]:
            raise _failure(f"unsupported start tag at offset {token.start()}")
        if token["text"] is not None:
            text += _KNOWN_REFERENCE.sub(lambda match: unescape(match.group()), token["text"])
        elif not token["close"]:
            opened.append((token["name"].lower(), units(text), _entity(token["name"].lower(), token["rest"])))
        elif not opened or opened[-1][0] != token["name"].lower():
            raise _failure(f"unexpected end tag </{token['name']}> at offset {token.start()}")
        else:
            _, offset, entity = opened.pop()
            if units(text) > offset and entity:
                entities.append({**entity, "offset": offset, "length": units(text) - offset})
    if opened:
        raise _failure(f'can\'t find end tag corresponding to start tag "{opened[-1][0]}"')
    return text, _languages_joined(entities)


def _entity(name: str, rest: str) -> Entity:
    attributes = {one[1].lower(): one[2] or one[3] or one[4] or "" for one in _ATTRIBUTE.finditer(rest)}
    if name == "code" and attributes.get("class", "").startswith("language-"):
        return {"type": "code", "language": attributes["class"].removeprefix("language-")}
    if name in _SIMPLE:
        return {"type": _SIMPLE[name]}
    if name == "span" and attributes.get("class") == "tg-spoiler":
        return {"type": "spoiler"}
    if name == "blockquote":
        return {"type": "expandable_blockquote" if "expandable" in attributes else "blockquote"}
    if name == "a":
        return {"type": "text_link", "url": attributes["href"]} if attributes.get("href") else {}
    if name == "tg-emoji":
        return {"type": "custom_emoji", "custom_emoji_id": attributes.get("emoji-id", "")}
    raise _failure(f'unsupported start tag "{name}"')


def _languages_joined(entities: list[Entity]) -> list[Entity]:
    """<pre><code class="language-x"> is one entity; a language outside of pre means nothing."""
    spans = {(one["offset"], one["length"]): one for one in entities if one["type"] == "pre"}
    kept = []
    for one in entities:
        outer = spans.get((one["offset"], one["length"])) if one["type"] == "code" else None
        if outer is None:
            kept.append(one)
        elif "language" in one:
            outer["language"] = one["language"]
    for one in kept:
        if one["type"] == "code":
            one.pop("language", None)
    return sorted(kept, key=lambda one: (one["offset"], -one["length"]))
