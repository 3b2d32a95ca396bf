"""Values of the Bot API that the simulator checks, as python-telegram-bot's `telegram.constants` has them.

That package loads 180 modules for any of its own: 7 MB and a quarter of the simulator's start.
"""

from __future__ import annotations

from typing import Final

MAX_TEXT: Final = 4096
MAX_CAPTION: Final = 1024
MAX_ENTITIES: Final = 100
"""More are ignored."""

ENTITY_TYPES: Final = (
    *("blockquote", "bold", "bot_command", "cashtag", "code", "custom_emoji", "date_time", "email"),
    *("expandable_blockquote", "hashtag", "italic", "mention", "phone_number", "pre", "spoiler", "strikethrough"),
    *("text_link", "text_mention", "underline", "url"),
)
CHAT_ACTIONS: Final = (
    *("choose_sticker", "find_location", "record_video", "record_video_note", "record_voice", "typing"),
    *("upload_document", "upload_photo", "upload_video", "upload_video_note", "upload_voice"),
)
