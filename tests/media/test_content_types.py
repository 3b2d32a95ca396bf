"""What a file is by its first bytes, whatever it is called and labelled."""

from __future__ import annotations

import pytest

from relay.media.content_types import DOCX, UNKNOWN, content_type, decoded

MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00"
M4A = b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00"
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

ROWS = [
    ("a JPEG", b"\xff\xd8\xff\xe0JFIF", "image/jpeg", "", "image/jpeg"),
    ("a PNG called a JPEG", b"\x89PNG\r\n\x1a\n....", "image/jpeg", "", "image/png"),
    ("a GIF", b"GIF89a......", "", "", "image/gif"),
    ("a WebP", b"RIFF\x10\x00\x00\x00WEBPVP8 ", "", "", "image/webp"),
    ("a video called a JPEG", MP4, "image/jpeg", "", "video/mp4"),
    ("a page called a PNG", b"<!doctype html><script>", "image/png", "", "text/plain"),
    ("a page", b"<!doctype html><p>hi", "text/html", "", "text/html"),
    ("a drawing with a script", SVG, "image/svg+xml", "", "text/plain"),
    ("a picture that no browser shows", HEIC, "image/jpeg", "", "image/heic"),
    ("a voice message", b"OggS\x00\x02", "audio/ogg", "", "audio/ogg"),
    ("an iPhone's recording", M4A, "video/mp4", "", "audio/mp4"),
    ("the sound of a telephone", MP4, "audio/3gpp", "", "audio/mp4"),
    ("an MP3 with a tag", b"ID3\x04", "", "", "audio/mpeg"),
    ("an MP3 without", b"\xff\xfb\x90\x00", "", "", "audio/mpeg"),
    ("a WAVE", b"RIFF\x10\x00\x00\x00WAVEfmt ", "", "", "audio/wav"),
    ("a recording that we do not know", b"\xff\xf1\x50\x80", "audio/aac", "", "audio/aac"),
    ("the same under another label", b"\xff\xf1\x50\x80", "image/png", "", UNKNOWN),
    ("a PDF", b"%PDF-1.7\n", UNKNOWN, "a.pdf", "application/pdf"),
    ("a Word file by its name", b"PK\x03\x04....", UNKNOWN, "Offer.DOCX", DOCX),
    ("a Word file by its label", b"PK\x03\x04....", DOCX, "", DOCX),
    ("an archive", b"PK\x03\x04....", "application/zip", "a.zip", "application/zip"),
    ("a contact", b"BEGIN:VCARD\r\n", "text/vcard", "", "text/vcard"),
    ("text that is cut within a letter", "wörter wö".encode()[:-1], UNKNOWN, "a.txt", "text/plain"),
    ("old text", "Größe".encode("cp1252"), "text/plain", "", "text/plain"),
    ("old text that nobody calls text", "Größe und".encode("cp1252"), UNKNOWN, "", UNKNOWN),
    ("text of Windows", "hi".encode("utf-16"), "text/plain", "", "text/plain"),
    ("a program", b"\x7fELF\x02\x01\x01\x00", "image/png", "", UNKNOWN),
    ("nothing", b"", "image/png", "", UNKNOWN),
]


@pytest.mark.parametrize(("head", "label", "name", "kind"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_content_decides(head: bytes, label: str, name: str, kind: str) -> None:
    """The label matters only between types that begin alike."""
    assert content_type(head, label, name) == kind


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_decoded_as_it_was_written(encoding: str) -> None:
    """UTF-8 with and without its mark, and what older programs write."""
    assert decoded("Größe: 5 €".encode(encoding)) == "Größe: 5 €"


def test_text_cut_within_a_letter_stays_utf_8() -> None:
    """The beginning of a long file is read."""
    assert decoded("Größe: 5 €".encode()[:-1]).startswith("Größe: 5 ")
