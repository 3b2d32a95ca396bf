from __future__ import annotations

import copy
from typing import Any

import pytest
import telegram
from hypothesis import given
from hypothesis import strategies as st

from relay.channels.telegram.commands import COMMANDS
from relay.channels.telegram.updates import Identity, read_update
from relay.core.decisions import REPLIES_TO
from relay.core.errors import PayloadError
from relay.core.messages import Attachment, InboundMessage, Kind
from tests.channels.telegram.scripted_bot_api import BOT_ID, ME, USERNAME, group, private

IDENTITY = Identity(BOT_ID, USERNAME, frozenset(COMMANDS))
ADA = {"id": 700000001, "is_bot": False, "first_name": "Ada", "language_code": "en"}
CHANNEL = {"id": -1009876543210, "title": "News", "type": "channel"}
PHOTO = [{"file_id": "a", "file_unique_id": "b", "width": 90, "height": 60, "file_size": 1234}]
VOICE = {"file_id": "a", "file_unique_id": "b", "duration": 3, "mime_type": "audio/ogg"}


RIGHTS = (
    "can_be_edited",
    "is_anonymous",
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
)


def member(status: str) -> dict[str, Any]:
    more: dict[str, Any] = {"until_date": 0} if status == "kicked" else {}
    if status == "administrator":
        more = dict.fromkeys(RIGHTS, False)
    return {"user": ME, "status": status, **more}


def membership(chat: dict[str, Any], before: str, after: str) -> dict[str, Any]:
    note = {
        "chat": chat,
        "from": ADA,
        "date": 1790000000,
        "old_chat_member": member(before),
        "new_chat_member": member(after),
    }
    return {"update_id": 1, "my_chat_member": note}


def edited(update: dict[str, Any]) -> dict[str, Any]:
    return {"update_id": update["update_id"], "edited_message": {**update["message"], "edit_date": 1790000050}}


def from_bot(update: dict[str, Any]) -> dict[str, Any]:
    machine = {"id": 55, "is_bot": True, "first_name": "Other"}
    return {**update, "message": {**update["message"], "from": machine}}


ANONYMOUS: dict[str, Any] = {
    "from": {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"},
    "sender_chat": group(0)["message"]["chat"],
}
AS_CHANNEL: dict[str, Any] = {
    "from": {"id": 136817688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"},
    "sender_chat": CHANNEL,
}
POSTED = {**AS_CHANNEL, "is_automatic_forward": True}
BOB = {"id": 700000002, "is_bot": False, "first_name": "Bob"}
QUESTION = {
    "message_id": 3,
    "date": 1790000000,
    "chat": group(0)["message"]["chat"],
    "from": BOB,
    "text": "Capital of Peru?",
}
URL = "https://example.org/a?id=7"
LINK = [{"type": "text_link", "offset": 7, "length": 9, "url": URL}]
EMOJI_LINK = [{"type": "text_link", "offset": 3, "length": 4, "url": URL}]
MENTIONED = [{"type": "text_mention", "offset": 4, "length": 5, "user": ME}]
IN_CODE = [{"type": "code", "offset": 4, "length": len(USERNAME) + 1}]
HIDDEN = {"type": "hidden_user", "date": 1, "sender_user_name": "B"}
FROM_BOB = {"type": "user", "date": 1, "sender_user": BOB}
FROM_NEWS = {"type": "channel", "date": 1, "chat": CHANNEL, "message_id": 7}
REPLY_TO_US = {"message_id": 5, "date": 1790000000, "chat": group(0)["message"]["chat"], "from": ME, "text": "Hello"}
TOPIC_START = {**REPLY_TO_US, "forum_topic_created": {"name": "x", "icon_color": 7322096}}

RECORDED = [
    ("a text", private(1, "hello"), Kind.TEXT, "hello"),
    ("emoji only", private(1, "\U0001f642"), Kind.TEXT, "\U0001f642"),
    ("right to left", private(1, "\u05e9\u05dc\u05d5\u05dd"), Kind.TEXT, "\u05e9\u05dc\u05d5\u05dd"),
    ("NUL and half a character", private(1, "a\x00b\ud800c"), Kind.TEXT, "abc"),
    ("invisible", private(1, "\u200b"), Kind.TEXT, ""),
    ("a caption", private(1, None, photo=PHOTO, caption="what is this?"), Kind.TEXT, "what is this?"),
    ("a picture", private(1, None, photo=PHOTO), Kind.MEDIA, ""),
    ("a voice note", private(1, None, voice=VOICE), Kind.MEDIA, ""),
    ("a location", private(1, None, location={"latitude": 1.5, "longitude": 2.5}), Kind.MEDIA, ""),
    ("an edit", edited(private(1, "hello!")), Kind.EDITED, "hello!"),
    ("a location that moves", edited(private(1, None, location={"latitude": 1, "longitude": 2})), Kind.SERVICE, ""),
    ("an edit in a group", edited(group(1, "hello!")), Kind.SERVICE, ""),
    ("a mention added in a group", edited(group(1, f"@{USERNAME} hello!")), Kind.EDITED, "Ada Lovelace: hello!"),
    ("a mention added late", edited(group(1, f"@{USERNAME} hi", date=1780000000)), Kind.SERVICE, ""),
    ("a command", private(1, "/help@relay_test_bot"), Kind.TEXT, "/help@relay_test_bot"),
    ("talk among others", group(1, "hello all"), Kind.SERVICE, ""),
    ("a mention", group(1, f"@{USERNAME} hello"), Kind.TEXT, "Ada Lovelace: hello"),
    ("a mention in capitals", group(1, f"hello, @{USERNAME.upper()}"), Kind.TEXT, "Ada Lovelace: hello"),
    ("a longer name than ours", group(1, f"@{USERNAME}2 hello"), Kind.SERVICE, ""),
    ("only our name", group(1, f"@{USERNAME}"), Kind.TEXT, ""),
    ("a reply to us", group(1, "why?", reply_to_message=REPLY_TO_US), Kind.TEXT, "Ada Lovelace: why?"),
    ("the start of a topic", group(1, "why?", reply_to_message=TOPIC_START), Kind.SERVICE, ""),
    ("a question by reply", group(1, f"@{USERNAME}", reply_to_message=QUESTION), Kind.TEXT, "Bob: Capital of Peru?"),
    ("our own words by reply", group(1, f"@{USERNAME}", reply_to_message=REPLY_TO_US), Kind.TEXT, ""),
    ("a mention as a link", group(1, "hey Relay, hello", entities=MENTIONED), Kind.TEXT, "Ada Lovelace: hey , hello"),
    ("our name in code", group(1, f"use @{USERNAME} here", entities=IN_CODE), Kind.SERVICE, ""),
    ("our name in a URL", group(1, f"see https://t.me/@{USERNAME}"), Kind.SERVICE, ""),
    ("a link behind words", private(1, "sum up this page", entities=LINK), Kind.TEXT, f"sum up this page ({URL})"),
    ("behind a caption", private(1, None, photo=PHOTO, caption="\U0001f642 page", caption_entities=EMOJI_LINK),
     Kind.TEXT, f"\U0001f642 page ({URL})"),
    ("a link that shows itself", private(1, URL, entities=[{**LINK[0], "offset": 0, "length": len(URL)}]),
     Kind.TEXT, URL),
    ("a forward", private(1, "Tax starts\nin May.", forward_origin=HIDDEN), Kind.TEXT,
     "Forwarded from B:\n> Tax starts\n> in May."),
    ("a forward of a channel", private(1, "x", forward_origin=FROM_NEWS), Kind.TEXT, "Forwarded from News:\n> x"),
    ("a command in a forward", private(1, "/help", forward_origin=FROM_BOB), Kind.TEXT, "Forwarded from Bob:\n> /help"),
    ("a command through a bot", private(1, "/clear", via_bot=ME), Kind.TEXT, f"Sent through @{USERNAME}:\n> /clear"),
    ("a command forwarded to a group", group(1, "/clear", forward_origin=FROM_BOB), Kind.SERVICE, ""),
    ("a command in a group", group(1, "/help"), Kind.TEXT, "/help"),
    ("a command for us", group(1, f"/help@{USERNAME}"), Kind.TEXT, f"/help@{USERNAME}"),
    ("a command for another bot", group(1, "/help@other_bot"), Kind.SERVICE, ""),
    ("a command of another bot", group(1, "/roll"), Kind.SERVICE, ""),
    ("a picture in a group", group(1, None, photo=PHOTO), Kind.SERVICE, ""),
    ("a member who joined", group(1, None, new_chat_members=[ADA]), Kind.SERVICE, ""),
    ("another bot", from_bot(private(1, "hello")), Kind.SERVICE, ""),
    ("an anonymous administrator", group(1, f"@{USERNAME} hi", **ANONYMOUS), Kind.TEXT, "Chess club: hi"),
    ("a member as a channel", group(1, f"@{USERNAME} hi", **AS_CHANNEL), Kind.TEXT, "News: hi"),
    ("a post of the linked channel", group(1, f"@{USERNAME} hi", **POSTED), Kind.SERVICE, ""),
    ("a channel post", {"update_id": 1, "channel_post": {**private(1)["message"], "chat": CHANNEL}}, Kind.SERVICE, ""),
    ("blocked", membership(private(0)["message"]["chat"], "member", "kicked"), Kind.LEFT, ""),
    ("unblocked", membership(private(0)["message"]["chat"], "kicked", "member"), Kind.RETURNED, ""),
    ("removed from a group", membership(group(0)["message"]["chat"], "member", "left"), Kind.LEFT, ""),
    ("added to a group", membership(group(0)["message"]["chat"], "left", "member"), Kind.RETURNED, ""),
    ("made an administrator", membership(group(0)["message"]["chat"], "member", "administrator"), Kind.SERVICE, ""),
    ("a channel that removed us", membership(CHANNEL, "administrator", "left"), Kind.SERVICE, ""),
    ("a button", {"update_id": 1, "callback_query": {"id": "1", "from": ADA, "chat_instance": "2"}}, Kind.SERVICE, ""),
    ("an unknown kind", {"update_id": 1, "telepathy": {"chat": {"id": 7}}}, Kind.SERVICE, ""),
    ("nothing but an id", {"update_id": 1}, Kind.SERVICE, ""),
]  # fmt: skip


@pytest.mark.parametrize(("update", "kind", "text"), [row[1:] for row in RECORDED], ids=[row[0] for row in RECORDED])
def test_an_update_is_read_for_what_it_is(update: dict[str, Any], kind: Kind, text: str) -> None:
    """Texts, media, edits, groups, memberships, and all that needs no answer."""
    message = read_update(update, IDENTITY, 5.0)
    assert (message.kind, message.text, message.external_id) == (kind, text, f"{BOT_ID}:1")


@pytest.mark.parametrize("update", [row[1] for row in RECORDED], ids=[row[0] for row in RECORDED])
def test_the_recorded_updates_are_real_ones(update: dict[str, Any]) -> None:
    """python-telegram-bot reads each of them."""
    read = telegram.Update.de_json(copy.deepcopy(update), None)
    assert read.update_id == 1
    assert set(read.api_kwargs) <= {"telepathy"}


def test_a_private_message_tells_who_wrote_and_where() -> None:
    """Name, username, language, address, and the id that an answer could quote."""
    message = read_update(private(8), IDENTITY, 5.0)
    told = (message.user_id, message.name, message.username, message.language, message.reply_to, message.received_at)
    assert told == ("700000001", "Ada Lovelace", "ada", "en", "1008", 5.0)


def test_a_group_is_one_person_with_the_title_as_its_name() -> None:
    """All members share one conversation."""
    message = read_update(group(8, "/status"), IDENTITY, 5.0)
    assert (message.user_id, message.name, message.username) == ("-1001234567890", "Chess club", None)


@pytest.mark.parametrize(
    ("update", "sender", "writer"),
    [
        (private(1), None, "700000001"),
        (group(1), "700000001", "700000001"),
        (group(1, **ANONYMOUS), "-1001234567890", "-1001234567890"),
        (group(1, **AS_CHANNEL), str(CHANNEL["id"]), str(CHANNEL["id"])),
    ],
)
def test_the_writer_is_the_member_of_a_group(update: dict[str, Any], sender: str | None, writer: str) -> None:
    """Limits and lists count for the person, or for the chat in whose name an administrator or a channel writes."""
    message = read_update(update, IDENTITY, 5.0)
    assert (message.sender, message.writer) == (sender, writer)


RICH = [
    ([{"type": "paragraph", "text": "Compare A and B"}], "Compare A and B"),
    ([{"type": "heading", "size": 2, "text": "Plan"}, {"type": "divider"}], "## Plan\n\n---"),
    ([{"type": "paragraph", "text": ["see ", {"type": "url", "text": "this", "url": URL}]}], f"see this ({URL})"),
    ([{"type": "paragraph", "text": {"type": "bold", "text": ["so ", {"type": "code", "text": "x"}]}}], "**so `x`**"),
    ([{"type": "pre", "language": "py", "text": "x = 1"}], "```py\nx = 1\n```"),
    ([{"type": "mathematical_expression", "expression": "x^2"}], "$$x^2$$"),
    (
        [
            {
                "type": "list",
                "items": [
                    {"label": "1.", "blocks": [{"type": "paragraph", "text": "one"}]},
                    {"label": "•", "blocks": [{"type": "paragraph", "text": "two"}]},
                    {"has_checkbox": True, "is_checked": True, "blocks": [{"type": "paragraph", "text": "three"}]},
                ],
            }
        ],
        "1. one\n- two\n- [x] three",
    ),
    (
        [
            {
                "type": "table",
                "cells": [[{"text": "a", "is_header": True}, {"text": "b|c"}], [{"text": "1"}, {"text": "2"}]],
            }
        ],
        "| a | b\\|c |\n|---|---|\n| 1 | 2 |",
    ),
    ([{"type": "blockquote", "blocks": [{"type": "paragraph", "text": "q"}], "credit": "C"}], "> q\n> C"),
    ([{"type": "photo", "caption": {"text": "a cat"}}], "a cat"),
    ([{"type": "telepathy", "text": "of tomorrow"}], "of tomorrow"),
]


@pytest.mark.parametrize(("blocks", "text"), RICH)
def test_a_rich_message_is_read_as_markdown(blocks: list[dict[str, Any]], text: str) -> None:
    """Apps send lists, tables and pasted web pages as blocks, without a text."""
    message = read_update(private(1, None, rich_message={"blocks": blocks}), IDENTITY, 5.0)
    assert (message.kind, message.text) == (Kind.TEXT, text)


def test_a_rich_message_in_a_group_mentions_us_like_any_other() -> None:
    """By the name in one of its blocks."""
    blocks = [{"type": "paragraph", "text": f"@{USERNAME} what is up?"}]
    message = read_update(group(1, None, rich_message={"blocks": blocks}), IDENTITY, 5.0)
    assert (message.kind, message.text) == (Kind.TEXT, "Ada Lovelace: what is up?")


def test_content_of_tomorrow_is_answered_in_a_private_chat_and_no_service_note_is() -> None:
    """The person learns that it cannot be read; a pinned message or a new title is no question."""
    unknown, pinned = (
        read_update(private(1, None, **{key: {"id": "1"}}), IDENTITY, 5.0) for key in ("hologram", "pinned_message")
    )
    assert (unknown.kind, unknown.attachments) == (Kind.MEDIA, (Attachment("application/x-hologram"),))
    assert pinned.kind is Kind.SERVICE


POLL = {"id": "1", "question": "Tea?", "options": [{"text": "Yes"}, {"text": "No"}]}
EXTERNAL = {"origin": {**FROM_NEWS, "chat": {"id": -1009, "type": "channel", "title": "N"}}}


@pytest.mark.parametrize(
    ("update", "author", "text"),
    [
        (private(1, "what?", reply_to_message=REPLY_TO_US), "you", "Hello"),
        (private(1, "what?", reply_to_message=REPLY_TO_US, quote={"text": "ell", "position": 1}), "you", "ell"),
        (group(1, f"@{USERNAME} is he right?", reply_to_message=QUESTION), "Bob", "Capital of Peru?"),
        (private(1, "true?", external_reply=EXTERNAL, quote={"text": "Bridge closed.", "position": 0}), "N",
         "Bridge closed."),
        (private(1, "and?", reply_to_message={**QUESTION, "text": None, "caption": "a chart"}), "Bob", "a chart"),
        (private(1, "and?", reply_to_message={**QUESTION, "text": "x" * 9000}), "Bob", "x" * 4095 + "…"),
        (private(1, "and?", reply_to_message={**QUESTION, "text": None, "poll": POLL}), "Bob", "Tea?\n- Yes\n- No"),
    ],
)  # fmt: skip
def test_what_a_message_replies_to_comes_with_it(update: dict[str, Any], author: str, text: str) -> None:
    """The selected part, else the whole; from this chat or another one; and whose words they are."""
    assert read_update(update, IDENTITY, 5.0).options["quoted"] == {"author": author, "text": text}


def test_a_reply_to_us_names_our_message() -> None:
    """With it an operator answers a notice; a reply to another user's message, or none, names nothing."""
    ours = {**REPLY_TO_US, "message_id": 41}
    assert read_update(private(1, "hi", reply_to_message=ours), IDENTITY, 5.0).options[REPLIES_TO] == "41"
    assert read_update(group(1, "hi", reply_to_message=ours), IDENTITY, 5.0).options[REPLIES_TO] == "41"
    others: tuple[dict[str, Any], ...] = (
        {},
        {"reply_to_message": QUESTION},
        {"reply_to_message": TOPIC_START},
        {"external_reply": EXTERNAL},
    )
    assert not [more for more in others if REPLIES_TO in read_update(private(1, "hi", **more), IDENTITY, 5.0).options]


@pytest.mark.parametrize("more", [{}, {"reply_to_message": TOPIC_START}, {"external_reply": EXTERNAL}])
def test_nothing_is_quoted_where_no_words_are(more: dict[str, Any]) -> None:
    """A message of its own, the start of a topic, a picture elsewhere."""
    assert "quoted" not in read_update(private(1, "hello", **more), IDENTITY, 5.0).options


def test_the_topic_of_a_message_is_remembered() -> None:
    """An answer goes into the topic where the question was asked, and only a topic counts as one."""
    topic = group(8, "/help", message_thread_id=42, is_topic_message=True)
    thread = group(8, "/help", message_thread_id=42)
    places = [read_update(update, IDENTITY, 5.0).reply_to for update in (topic, thread)]
    assert places == ["1008/42", "1008"]
    assert [read_update(update, IDENTITY, 5.0).topic for update in (topic, thread)] == ["42", None]


def test_content_types_come_with_the_message() -> None:
    """Told ones and usual ones."""
    document = {"file_id": "a", "file_unique_id": "b", "mime_type": "application/pdf"}
    both = [
        read_update(private(1, None, **media), IDENTITY, 5.0).attachments[0].media_type
        for media in ({"document": document}, {"photo": PHOTO})
    ]
    assert both == ["application/pdf", "image/jpeg"]


FILE = {"file_id": "AgAC_-9", "file_unique_id": "u", "file_size": 9}


@pytest.mark.parametrize(
    ("content", "attachments"),
    [
        ({"photo": [{**FILE, "file_id": "small"}, FILE]}, [Attachment("image/jpeg", "AgAC_-9", "", 9)]),
        ({"voice": {**FILE, "mime_type": "audio/ogg"}}, [Attachment("audio/ogg", "AgAC_-9", "", 9)]),
        ({"audio": {**FILE, "title": "Song"}}, [Attachment("audio/mpeg", "AgAC_-9", "Song", 9)]),
        ({"video_note": FILE}, [Attachment("video/mp4", "AgAC_-9", "", 9)]),
        ({"document": {**FILE, "file_name": "a.pdf"}}, [Attachment("application/octet-stream", "AgAC_-9", "a.pdf", 9)]),
        ({"animation": FILE, "document": FILE}, [Attachment("video/mp4", "AgAC_-9", "", 9)]),
        ({"sticker": {**FILE, "emoji": "👍"}}, [Attachment("image/webp", "AgAC_-9", "👍", 9)]),
        ({"sticker": {**FILE, "is_animated": True}}, [Attachment("image/webp", "", "", 9)]),
        ({"sticker": {**FILE, "is_video": True}}, [Attachment("video/webm", "AgAC_-9", "", 9)]),
        ({"location": {"latitude": 1.5}}, [Attachment("application/geo+json")]),
        ({"photo": [[]]}, [Attachment("image/jpeg")]),
        ({"voice": {**FILE, "file_id": "../../etc"}}, [Attachment("audio/ogg", "", "", 9)]),
        ({"voice": {**FILE, "file_id": 5, "file_size": "9"}}, [Attachment("audio/ogg")]),
        ({"document": {**FILE, "file_size": -1, "file_name": "x" * 300}},
         [Attachment("application/octet-stream", "AgAC_-9", "x" * 200)]),
    ],
)  # fmt: skip
def test_what_a_file_is_fetched_by(content: dict[str, Any], attachments: list[Attachment]) -> None:
    """The largest size of a photo; nothing of another form than an id is ever asked for."""
    assert list(read_update(private(1, None, **content), IDENTITY, 5.0).attachments) == attachments


OF_BOB = {**QUESTION, "text": None, "photo": [FILE]}


@pytest.mark.parametrize(
    ("update", "count"),
    [
        (private(1, "what is this?", reply_to_message=OF_BOB), 1),
        (group(1, f"@{USERNAME}", reply_to_message=OF_BOB), 1),
        (private(1, "what is this?", external_reply={**EXTERNAL, "photo": [FILE]}), 1),
        (private(1, "and this?", photo=[{**FILE, "file_id": "own"}], reply_to_message=OF_BOB), 1),
        (private(1, "/help", reply_to_message=OF_BOB), 0),
        (private(1, "explain", reply_to_message={**OF_BOB, "from": ME}), 0),
        (private(1, "and?", reply_to_message={**QUESTION, "location": {"latitude": 1.5, "longitude": 2}}), 0),
        (private(1, None, reply_to_message=OF_BOB, new_chat_title="x"), 0),
        (group(1, "nice", reply_to_message=OF_BOB), 0),
    ],
)
def test_a_question_about_a_picture_comes_with_it(update: dict[str, Any], count: int) -> None:
    """The model cannot see what it was not sent; one of our own files, or beside a command, is no question about it."""
    message = read_update(update, IDENTITY, 5.0)
    assert len(message.attachments) == count
    if "photo" in update["message"]:
        assert message.attachments[0].reference == "own"


def test_the_pictures_of_an_album_are_messages_of_their_own() -> None:
    """None is lost as a repetition of the first; they are joined when they are answered."""
    updates = [private(number, None, photo=PHOTO, media_group_id="99") for number in (1, 2)]
    messages = [read_update(update, IDENTITY, 5.0) for update in updates]
    assert [message.external_id for message in messages] == [f"{BOT_ID}:1", f"{BOT_ID}:2"]
    assert {message.options["album"] for message in messages} == {"99"}


def test_an_edited_caption_keeps_its_picture() -> None:
    """The question is asked again with it."""
    update = private(1, None, caption="and this?", photo=[FILE])
    message = read_update({"update_id": 1, "edited_message": update["message"]}, IDENTITY, 5.0)
    assert (message.kind, message.text) == (Kind.EDITED, "and this?")
    assert [one.reference for one in message.attachments] == ["AgAC_-9"]


@pytest.mark.parametrize(
    "update",
    [
        None,
        [],
        "text",
        {},
        {"update_id": "1"},
        {"update_id": True, "message": {}},
        {"update_id": 1, "message": []},
        {"update_id": 1, "message": {}},
        {"update_id": 1, "message": {"chat": {"id": "7"}}},
        {"update_id": 1, "message": {"chat": {"id": 1 << 80}}},
        {"update_id": 1, "message": {"chat": {"id": 7, "type": 3}}},
        private(1, 5),  # type: ignore[arg-type]
        private(1, **{"from": "me"}),
        private(1, reply_to_message=3, chat={"id": -5, "type": "group"}),
        {"update_id": 1, "my_chat_member": {"chat": {"id": 7}, "new_chat_member": {"status": 1}}},
        {"update_id": 1, "edited_message": 7},
    ],
)
def test_what_cannot_be_understood_is_refused_with_a_reason(update: Any) -> None:
    """Missing ids and wrong types become dead letters."""
    with pytest.raises(PayloadError, match=r"\w"):
        read_update(update, IDENTITY, 5.0)


KEYS = st.sampled_from(
    [
        "update_id",
        "message",
        "edited_message",
        "my_chat_member",
        "chat",
        "from",
        "id",
        "type",
        "text",
        "caption",
        "photo",
        "sender_chat",
        "reply_to_message",
        "message_id",
        "new_chat_member",
        "old_chat_member",
        "status",
        "x",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)


@given(JSON)
def test_no_update_can_do_more_than_be_refused(update: Any) -> None:
    """Whatever JSON arrives, the answer is a message or a PayloadError."""
    try:
        message = read_update(update, IDENTITY, 5.0)
    except PayloadError:
        return
    assert isinstance(message, InboundMessage)


@given(JSON)
def test_no_message_can_do_more_than_be_refused(message: Any) -> None:
    """The same, one level deeper."""
    try:
        read_update({"update_id": 1, "message": message}, IDENTITY, 5.0)
    except PayloadError:
        return
