"""Routes of Ollama and OpenAI that the LLM server does not offer: each answers 501 with a sentence instead of 404.

This is the model server of a relay: it answers conversations. Its models are chosen by settings and managed where they
run; sound and pictures are no part of it.
"""

from __future__ import annotations

_CHAT = "send the conversation to /api/chat or /v1/chat/completions"
_MANAGE = "manage the models where they run, such as in Ollama itself; GET /api/tags lists them"
UNOFFERED: dict[str, tuple[str, str]] = {
    "/api/generate": ("POST", _CHAT),
    **{f"/api/{verb}": ("POST", _MANAGE) for verb in ("pull", "push", "create", "copy", "blobs/{digest}")},
    "/api/delete": ("DELETE", _MANAGE),
    **{f"/v1/{name}": ("POST", _CHAT) for name in ("completions", "responses", "messages")},
    **{
        f"/v1/{name}": ("POST", "send text and pictures to /v1/chat/completions")
        for name in ("audio/speech", "audio/transcriptions", "audio/translations", "images/generations", "moderations")
    },
}
"""Method and remedy of each path."""
