"""What refusals of the Bot API mean, for people who do not know it."""

from __future__ import annotations

from typing import Final

REASONS: Final[tuple[tuple[str, str], ...]] = (
    ("chat not found", "this person never started the bot, or the chat is gone"),
    ("user not found", "this person never started the bot, or the account is gone"),
    ("peer_id_invalid", "this person never started the bot"),
    ("bot was blocked", "this person has blocked the bot"),
    ("user is deactivated", "this person's account was deleted"),
    ("can't initiate conversation", "this person has to write to the bot first"),
    ("can't send messages to bots", "this is another bot, and bots cannot write to each other"),
    ("bot was kicked", "the bot was removed from the group"),
    ("bot is not a member", "the bot is not in the group any more"),
    ("group chat was upgraded", "the group has a new address"),
    ("group is deactivated", "the group was deleted"),
    ("not enough rights", "the bot may not write in this group"),
    ("no rights to send", "the bot may not write in this group"),
    ("chat_write_forbidden", "the bot may not write in this group"),
    ("chat_restricted", "the bot may not write in this group"),
    ("message is too long", "the text is longer than Telegram takes"),
    ("can't parse entities", "Telegram did not accept the formatting of the text"),
    ("unauthorized", "Telegram does not accept the bot's token (any more)"),
    ("too many requests", "Telegram asks us to be slower"),
)
"""By a part of the description in lower case; the descriptions are those of the official server (BOT_API_ERRORS)."""
