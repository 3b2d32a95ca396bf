"""Images in a request: base64 data or data: URLs; the media type is detected from the first bytes."""

from __future__ import annotations

import base64
import binascii

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import Image

_MAGIC_PREFIXES = {"/9j/": "image/jpeg", "iVBORw0KGgo": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}


def image_from_base64(data: str) -> Image:
    """An image as Ollama's clients send it. Raises ModelError when it is not base64."""
    data = "".join(data.split())
    try:
        base64.b64decode(data[:64] + "=" * (-len(data[:64]) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ModelError(ModelFailure.BAD_REQUEST, "images must be base64 without a data: prefix") from None
    kind = next((kind for start, kind in _MAGIC_PREFIXES.items() if data.startswith(start)), "image/jpeg")
    return Image(kind, data)


def image_from_url(url: str) -> Image:
    """An image as OpenAI's clients send it: a data: or http(s) URL. Raises ModelError for others."""
    if url.startswith("data:"):
        head, comma, data = url.partition(",")
        if not comma or not head.endswith(";base64"):
            raise ModelError(ModelFailure.BAD_REQUEST, "a data: URL of a picture must be base64")
        return image_from_base64(data)._replace(media_type=head[5:].split(";")[0] or "image/jpeg")
    if url.startswith(("https://", "http://")):
        return Image("", "", url)
    raise ModelError(ModelFailure.BAD_REQUEST, "image_url must be a data: URL or begin with https://")
