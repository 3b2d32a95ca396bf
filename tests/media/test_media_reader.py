"""What the model is given of each kind of file, and why not."""

from __future__ import annotations

import asyncio
import base64
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from relay.channels.sms.spec import SMS
from relay.core.attachments import Content
from relay.core.download import Write
from relay.core.errors import AttachmentError, AttachmentFailure
from relay.core.messages import Attachment
from relay.media import reader as reader_module
from relay.media.reader import MAX_PICTURE_BYTES, MediaReader
from tests.settings import Settings

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
OGG = b"OggS\x00\x02" + b"\0" * 20
_FONTS = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
Answer = Callable[[httpx.Request], httpx.Response]


def pdf(*, text: str = "Open from nine to five", repeat: int = 1) -> bytes:
    """A PDF of one page; `repeat` makes its compressed content large."""
    shown = b"BT /F1 12 Tf 72 700 Td (" + text.encode() + b") Tj ET\n"
    stream = zlib.compress(shown * repeat)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources " + _FONTS + b" >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(stream) + stream + b"\nendstream",
    ]
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    places = []
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n" % number + content + b"\nendobj\n")
    start = out.tell()
    out.write(b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % start)
    return out.getvalue()


class ReaderHarness:
    """A reader, the provider that it fetches from, and the server that writes down what is spoken."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.content: bytes | Exception = b""
        self.fetches = 0
        self.asked: list[httpx.Request] = []
        self.transcript: Answer = lambda _: httpx.Response(200, json={"text": " Where are you? "})
        self.settings = Settings(media_folder=str(folder), **changes)
        self._http = httpx.AsyncClient(transport=httpx.MockTransport(self._transcribe))
        self.reader = MediaReader(self.settings, self._http)

    def _transcribe(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.transcript(request)

    async def download(self, attachment: Attachment, write: Write, max_bytes: int) -> None:
        del attachment, max_bytes
        self.fetches += 1
        if isinstance(self.content, Exception):
            raise self.content
        for at in range(0, len(self.content), 65536):
            write(self.content[at : at + 65536])

    async def read(self, content: bytes | Exception, media_type: str = "", name: str = "", **how: Any) -> Content:
        self.content = content
        attachment = Attachment(media_type, how.pop("reference", "file-1"), name, how.pop("size", 0))
        return await self.reader.read(SMS, attachment, self.download, last=how.pop("last", False))


@pytest.fixture
def harness(tmp_path: Path) -> ReaderHarness:
    return ReaderHarness(tmp_path / "media", transcription_base_url="http://127.0.0.1:9/v1")


async def test_a_picture_goes_to_the_model_as_it_is(harness: ReaderHarness) -> None:
    """With the type that it has, and kept for the console."""
    content = await harness.read(PNG, "image/jpeg")
    assert base64.b64decode(content.picture) == PNG
    assert content.attachment.media_type == "image/png"
    assert (await harness.reader.kept(content.attachment)).picture == content.picture


async def test_a_question_that_is_put_again_fetches_nothing(harness: ReaderHarness) -> None:
    """Nor is a recording paid for twice."""
    for _ in range(2):
        assert (await harness.read(OGG, "audio/ogg")).text == "Where are you?"
    assert (harness.fetches, len(harness.asked)) == (1, 1)


async def test_what_is_spoken_is_written_down_by_the_configured_server(tmp_path: Path) -> None:
    """With its model and its key, and with an ending from which it knows the format."""
    key = SecretStr("sk-secret-123456")
    harness = ReaderHarness(
        tmp_path, transcription_base_url="http://127.0.0.1:9/v1", transcription_api_key=key, transcription_model="tiny"
    )
    await harness.read(OGG, "audio/ogg")
    (asked,) = harness.asked
    assert str(asked.url) == "http://127.0.0.1:9/v1/audio/transcriptions"
    assert asked.headers["authorization"] == "Bearer sk-secret-123456"
    assert b'name="model"\r\n\r\ntiny' in asked.content
    assert b'filename="recording.ogg"' in asked.content
    assert OGG in asked.content


@pytest.mark.parametrize(
    ("answer", "why", "passing"),
    [
        (httpx.Response(400, json={"error": {"message": "bad audio"}}), AttachmentFailure.UNREADABLE, False),
        (httpx.Response(401, json={"error": {"message": "wrong key"}}), AttachmentFailure.NOT_TRANSCRIBED, False),
        (httpx.Response(404, text="<html>"), AttachmentFailure.NOT_TRANSCRIBED, False),
        (httpx.Response(302, headers={"location": "http://127.0.0.1/"}), AttachmentFailure.NOT_TRANSCRIBED, False),
        (httpx.Response(429), AttachmentFailure.UNAVAILABLE, True),
        (httpx.Response(500, text="out of memory"), AttachmentFailure.UNAVAILABLE, True),
        (httpx.Response(200, text="not JSON"), AttachmentFailure.UNAVAILABLE, True),
        (httpx.Response(200, json={"text": 5}), AttachmentFailure.UNAVAILABLE, True),
        (httpx.Response(200, json={"text": " \n"}), AttachmentFailure.SILENT, False),
    ],
)
async def test_a_recording_that_is_not_written_down(
    harness: ReaderHarness, answer: httpx.Response, why: AttachmentFailure, passing: bool
) -> None:
    """What may pass is tried again, unless it is the last try."""
    harness.transcript = lambda _: answer
    if passing:
        with pytest.raises(AttachmentError):
            await harness.read(OGG, "audio/ogg")
    content = await harness.read(OGG, "audio/ogg", last=True)
    assert (content.failure, content.text) == (why, "")
    assert content.attachment.sha256, "the operator can listen to it all the same"


async def test_without_a_server_that_listens_nothing_is_sent_anywhere(tmp_path: Path) -> None:
    """And it is kept for the operator."""
    harness = ReaderHarness(tmp_path)
    content = await harness.read(OGG, "audio/ogg")
    assert (content.failure, harness.asked) == (AttachmentFailure.NOT_TRANSCRIBED, [])


@pytest.mark.parametrize(
    ("content", "media_type", "name", "text"),
    [
        (b"Open from nine\x00 to five", "text/plain", "hours.txt", ""),
        ("Open from nine".encode("utf-16"), "text/plain", "hours.txt", "Open from nine"),
        (b"BEGIN:VCARD\r\nFN:Sam\r\nEND:VCARD", "text/x-vcard", "", "BEGIN:VCARD\nFN:Sam\nEND:VCARD"),
        (b"<h1>Hours</h1><script>x</script><p>nine", "text/html", "", "# Hours\n\nnine"),
        (pdf(), "application/octet-stream", "hours.pdf", "Open from nine to five"),
    ],
)
async def test_documents_are_read(
    harness: ReaderHarness, content: bytes, media_type: str, name: str, text: str
) -> None:
    """Text, contacts, pages, PDF; what only claims to be text is not."""
    assert (await harness.read(content, media_type, name)).text == text


async def test_a_small_file_that_unpacks_to_a_huge_one_harms_nothing(
    harness: ReaderHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process has limits, and what it prints is cut."""
    monkeypatch.setattr(reader_module, "DOCUMENT_SECONDS", 5.0)
    bomb = pdf(text="x" * 1000, repeat=300_000)
    assert len(bomb) < 3_000_000
    content = await harness.read(bomb, "application/pdf")
    assert len(content.text) <= reader_module.MAX_TEXT_BYTES
    assert content.text or content.failure is AttachmentFailure.UNREADABLE


@pytest.mark.parametrize(
    ("content", "media_type", "why"),
    [
        (b"", "image/jpeg", AttachmentFailure.EMPTY),
        (b" \n", "text/plain", AttachmentFailure.EMPTY),
        (b"%PDF-1.7\nbroken", "application/pdf", AttachmentFailure.UNREADABLE),
        (b"PK\x03\x04....", "application/zip", AttachmentFailure.UNREADABLE),
        (b"\x7fELF\x00\x01", "image/png", AttachmentFailure.UNREADABLE),
        (b"\xff\xd8\xff" + b"\0" * MAX_PICTURE_BYTES, "image/jpeg", AttachmentFailure.TOO_LARGE),
        (b"\xff\xd8\xff" + b"\0" * 20_000_000, "image/jpeg", AttachmentFailure.TOO_LARGE),
        (AttachmentError(AttachmentFailure.GONE), "image/jpeg", AttachmentFailure.GONE),
    ],
    ids=["empty", "blank", "a broken PDF", "an archive", "a program", "huge for a model", "too large", "not there"],
)
async def test_a_file_that_cannot_be_used_says_why(
    harness: ReaderHarness, content: bytes | Exception, media_type: str, why: AttachmentFailure
) -> None:
    """None of them is worth another try."""
    read = await harness.read(content, media_type)
    assert (read.failure, read.picture, read.text) == (why, "", "")


@pytest.mark.parametrize(
    ("changes", "how", "why"),
    [
        ({"media_max_bytes": 0}, {}, AttachmentFailure.OFF),
        ({"media_max_bytes": 10}, {"size": 11}, AttachmentFailure.TOO_LARGE),
        ({}, {"reference": ""}, AttachmentFailure.UNREADABLE),
    ],
)
async def test_what_need_not_be_fetched_is_not(
    tmp_path: Path, changes: dict[str, Any], how: dict[str, Any], why: AttachmentFailure
) -> None:
    """Fetching is off, the size is known, or there is nothing to fetch, as of a location."""
    harness = ReaderHarness(tmp_path, **changes)
    assert (await harness.read(PNG, "image/png", **how)).failure is why
    assert harness.fetches == 0


async def test_a_provider_that_drips_is_given_up(tmp_path: Path) -> None:
    """After media_seconds, and tried again later."""
    harness = ReaderHarness(tmp_path, media_seconds=0.01)

    async def hang(attachment: Attachment, write: Write, max_bytes: int) -> None:
        del attachment, max_bytes
        write(PNG)
        await asyncio.Event().wait()

    attachment = Attachment("image/png", "file-1")
    with pytest.raises(AttachmentError, match="within") as raised:
        await harness.reader.read(SMS, attachment, hang, last=False)
    assert raised.value.passing
    assert (await harness.reader.read(SMS, attachment, hang, last=True)).failure is AttachmentFailure.UNAVAILABLE


async def test_a_folder_that_cannot_be_written_is_tried_later(tmp_path: Path) -> None:
    """A full disk loses no question."""
    (tmp_path / "media").write_text("a file where the folder should be")
    with pytest.raises(AttachmentError, match="cannot be used"):
        await ReaderHarness(tmp_path / "media").read(PNG, "image/png")


async def test_what_was_deleted_is_told_from_what_is_kept(harness: ReaderHarness) -> None:
    """The history goes on without it."""
    content = await harness.read(PNG, "image/png")
    await harness.reader.prune({content.attachment.sha256})
    assert (await harness.reader.kept(content.attachment)).picture
    (Path(harness.settings.media_folder) / content.attachment.sha256).unlink()
    assert (await harness.reader.kept(content.attachment)).failure is AttachmentFailure.GONE
