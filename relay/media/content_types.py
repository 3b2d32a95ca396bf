"""What a file is by its first bytes: the label of a provider is what the sender chose."""

from __future__ import annotations

HEAD_BYTES = 4096
UNKNOWN = "application/octet-stream"
PDF, DOCX, HTML = (
    "application/pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "text/html",
)

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", PDF),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"#!AMR", "audio/amr"),
    (b"PK\x03\x04", "application/zip"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_STILLS = {b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heic", b"avif": "image/avif"}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1b")


def content_type(head: bytes, labelled: str = "", name: str = "") -> str:
    """The type of a file that begins with `head`; the label and the name decide between types that begin alike."""
    spoken = labelled.startswith("audio/")
    found = _by_beginning(head, spoken=spoken)
    if found == "application/zip":
        return DOCX if labelled == DOCX or name.lower().endswith(".docx") else found
    if found is None and _is_text(head, labelled):
        return _text_type(labelled, name)
    return found or (labelled if spoken else UNKNOWN)


def _by_beginning(head: bytes, *, spoken: bool) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        return _STILLS.get(head[8:12]) or ("audio/mp4" if spoken or head[8:11] == b"M4A" else "video/mp4")
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "audio/webm" if spoken else "video/webm"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 in {0xE2, 0xE4}:
        return "audio/mpeg"  # a frame of MPEG audio, layer 3 or 2
    return next((kind for beginning, kind in _BEGINNINGS if head.startswith(beginning)), None)


def _is_text(head: bytes, labelled: str) -> bool:
    """Whether these bytes are text: UTF-8, perhaps cut within a character, or what is labelled as text."""
    if head.startswith(_UTF_16):
        return labelled.startswith("text/")
    if not head or any(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 or labelled.startswith("text/")
    return True


def decoded(content: bytes) -> str:
    """The text of a file, which old programs write in UTF-16 or in Windows' Latin alphabet."""
    if content.startswith(_UTF_16):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        cut = error.start >= len(content) - 3
        return content.decode("utf-8" if cut else "cp1252", "replace")


def _text_type(labelled: str, name: str) -> str:
    if labelled == HTML or name.lower().endswith((".html", ".htm")):
        return HTML
    return labelled if labelled.startswith("text/") else "text/plain"
