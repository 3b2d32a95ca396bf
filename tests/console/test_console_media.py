"""What strangers sent, in the console: pictures are shown, recordings are played, everything else is only saved."""

from __future__ import annotations

from pathlib import Path

import pytest

from messaging_database import MessagingDatabase
from relay.channels.sms.spec import SMS
from relay.core.decisions import Decision
from relay.core.messages import Attachment, InboundMessage, Kind, Outcome, UserId
from relay.media.files import MediaFiles
from tests.console.running import browsing, nothing, settings_after

ALICE = UserId("+12025550147")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


def kept(folder: Path, content: bytes) -> str:
    with MediaFiles(folder).incoming(10_000) as incoming:
        incoming.write(content)
    return incoming.sha256


@pytest.mark.parametrize(
    ("content", "media_type", "disposition"),
    [
        (PNG, "image/png", "inline"),
        (b"\xff\xd8\xff" + bytes(50), "image/jpeg", "inline"),
        (b"OggS" + bytes(50), "audio/ogg", "inline"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(50), "video/mp4", "inline"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", None, "attachment"),
        (b"<!doctype html><script>alert(1)</script>", None, "attachment"),
        (b"%PDF-1.7\n/JavaScript", None, "attachment"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(50), None, "attachment"),
        (b"\x7fELF" + bytes(50), None, "attachment"),
    ],
    ids=["png", "jpeg", "ogg", "mp4", "svg", "html", "pdf", "heic", "program"],
)
async def test_a_browser_never_runs_what_was_sent(
    tmp_path: Path, content: bytes, media_type: str | None, disposition: str
) -> None:
    """Its type is read from its content, and is one of few; it has no scripts and no origin."""
    settings = await settings_after(nothing, tmp_path, media_folder=str(tmp_path / "media"))
    sha256 = kept(tmp_path / "media", content)
    async with browsing(settings) as browser:
        answer = await browser.get(f"/media/{sha256}", params={"name": 'x"\r\nSet-Cookie: a.html'})
        missing = [await browser.get(f"/media/{name}") for name in ("0" * 64, "..%2f..%2fetc%2fpasswd", "x")]
    assert answer.content == content
    assert answer.headers["content-type"] == (media_type or "application/octet-stream")
    assert answer.headers["content-disposition"].startswith(f"{disposition}; ")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "set-cookie" not in answer.headers
    assert [one.status_code for one in missing] == [404] * 3


async def test_a_page_shows_what_came_at_its_message(tmp_path: Path) -> None:
    """What is no longer kept is named."""
    picture, paper = kept(tmp_path / "media", PNG), kept(tmp_path / "media", b"%PDF-1.7")
    sent = (
        Attachment("image/png", "", "<b>cat.png", 0, picture),
        Attachment("application/pdf", "", "menu.pdf", 0, paper),
        Attachment("audio/ogg", "", "", 0, "0" * 64),
    )

    async def send_all(database: MessagingDatabase) -> None:
        message = InboundMessage(SMS, "MM1", ALICE, "look", 1_000_000.0, Kind.TEXT, attachments=sent)
        await database.store_inbound(message, "")
        claim = await database.claim_next_inbound(SMS, ALICE)
        assert claim is not None
        await database.complete_inbound(claim, Decision(reason="x"), [], outcome=Outcome.LEFT_TO_PERSON)

    settings = await settings_after(send_all, tmp_path, media_folder=str(tmp_path / "media"))
    async with browsing(settings) as browser:
        page = (await browser.get("/person", params={"platform": SMS, "id": ALICE})).text
    assert f'<img class="sent" src="/media/{picture}?name=%3Cb%3Ecat.png"' in page
    assert f'<a href="/media/{paper}?name=menu.pdf" download>' in page
    assert "a voice message</bdi>, not kept" in page
    assert "<b>cat" not in page
