"""Pictures in a question: base64 data or data: URLs, told apart by how their bytes begin."""

from __future__ import annotations

import base64
import binascii

from relay.core.errors import ModelError, ModelFailure
from relay.llm.chat import Image

_MAGIC_PREFIXES = {"/9j/": "image/jpeg", "iVBORw0KGgo": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}


def picture_of_base64(data: str) -> Image:
    """A picture as Ollama's clients send it; raises ModelError when it is not base64."""
    data = "".join(data.split())
    try:
        base64.b64decode(data[:64] + "=" * (-len(data[:64]) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ModelError(ModelFailure.BAD_REQUEST, "images must be base64 without a data: prefix") from None
    kind = next((kind for start, kind in _MAGIC_PREFIXES.items() if data.startswith(start)), "image/jpeg")
    return Image(kind, data)


def picture_of_url(url: str) -> Image:
    """A picture as OpenAI's clients send it: a data: URL, or the address of one; raises ModelError for others."""
    if url.startswith("data:"):
        head, comma, data = url.partition(",")
        if not comma or not head.endswith(";base64"):
            raise ModelError(ModelFailure.BAD_REQUEST, "a data: URL of a picture must be base64")
        return picture_of_base64(data)._replace(media_type=head[5:].split(";")[0] or "image/jpeg")
    if url.startswith(("https://", "http://")):
        return Image("", "", url)
    raise ModelError(ModelFailure.BAD_REQUEST, "image_url must be a data: URL or begin with https://")
