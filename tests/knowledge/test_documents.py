"""The knowledge folder: which files become which passages, and what happens to those that cannot be read."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from relay.knowledge.folder import KnowledgeFolder
from relay.knowledge.passages import MAX_PASSAGE_CHARS, Passage, cut
from tests.conftest import ROOT

HTML = (
    "<html><head><title>x</title><style>p{}</style></head><body><nav>Home</nav><h1>Hours</h1>"
    "<p>Mo&ndash;Fr 9&ndash;18</p><script>alert(1)</script></body></html>"
)
CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)
WORD = (
    '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:pPr>'
    '<w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Returns</w:t></w:r></w:p><w:p><w:r><w:t>Within 30 days.</w:t>'
    "</w:r></w:p></w:body></w:document>"
)


def docx() -> bytes:
    """The smallest file that Word opens."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        archive.writestr("_rels/.rels", RELATIONS)
        archive.writestr("word/document.xml", WORD)
    return file.getvalue()


def pdf(text: str) -> bytes:
    """A PDF of one page with one line."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    return out + head + table + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))


FILES: dict[str, tuple[str | bytes, list[tuple[str, str]]]] = {
    "shop.md": ("# Shop\n## Hours\nMo-Fr 9-18\n", [("Shop > Hours", "Mo-Fr 9-18")]),
    "plain.txt": ("We sell tea.", [("", "We sell tea.")]),
    "page.html": (HTML, [("Hours", "Mo\u2013Fr 9\u201318")]),
    "word.docx": (docx(), [("Returns", "Within 30 days.")]),
    "leaflet.pdf": (pdf("Tea costs 4 euros."), [("", "Tea costs 4 euros.")]),
    "prices.csv": ("Item;Price\nTea;4\n\nCup;9\n", [("", "Item: Tea\nPrice: 4"), ("", "Item: Cup\nPrice: 9")]),
    "faq.json": (
        json.dumps({"entries": [{"questions": ["park?", "car"], "answer": ["Behind", "us."]}]}),
        [("park? / car", "Behind\nus.")],
    ),
    "sub/deep.md": ("Deep.", [("", "Deep.")]),
    "with-mark.txt": ("\ufeffHello", [("", "Hello")]),
}


@pytest.mark.parametrize("name", FILES)
def test_a_document_becomes_passages(tmp_path: Path, name: str) -> None:
    """Text below its headings, whatever the format."""
    content, expected = FILES[name]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    folder = KnowledgeFolder(tmp_path, tmp_path / "none.json")
    assert folder.refresh()
    assert folder.problems == []
    assert folder.passages == [Passage(name, *row) for row in expected]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("broken.pdf", b"%PDF-1.4 nonsense", "cannot be read"),
        ("broken.docx", b"PK\x03\x04", "cannot be read"),
        ("scanned.pdf", pdf(""), "no text"),
        ("latin1.txt", b"caf\xe9", "utf-8"),
        ("list.json", b"[1]", "must look like"),
        ("cut.json", b'{"entries": [', "Expecting value"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_hides_no_other(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    """The operator reads which file and why."""
    (tmp_path / name).write_bytes(content)
    (tmp_path / "good.md").write_text("Good.")
    folder = KnowledgeFolder(tmp_path, tmp_path / "none.json")
    folder.refresh()
    assert [passage.text for passage in folder.passages] == ["Good."]
    (sentence,) = folder.problems
    assert sentence.startswith(f"{name}: ")
    assert problem in sentence


def test_hidden_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    """Only the formats that docs/KNOWLEDGE.md lists are read."""
    for name in (".secret.md", ".git/x.md", "~lock.docx", "photo.jpg", "no-ending"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    folder = KnowledgeFolder(tmp_path, tmp_path / "none.json")
    assert not folder.refresh()


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    """A new, a changed and a removed file each show; nothing is read when nothing changed."""
    first, second = tmp_path / "a.md", tmp_path / "b.md"
    first.write_text("one")
    second.write_text("two")
    folder = KnowledgeFolder(tmp_path, tmp_path / "none.json")
    folder.refresh()
    assert not folder.refresh()
    first.write_text("changed")
    os.utime(first, ns=(1, 1))
    second.unlink()
    (tmp_path / "c.md").write_text("three")
    assert folder.refresh()
    assert [passage.text for passage in folder.passages] == ["changed", "three"]


def test_the_faq_beside_the_settings_is_knowledge_without_what_is_about_the_demo(tmp_path: Path) -> None:
    """A real model answers the same as the demo did."""
    faq = tmp_path / "faq.json"
    rows = [{"questions": ["hi"], "answer": "I am a demo", "demo": True}, {"questions": ["open"], "answer": "9 to 18"}]
    faq.write_text(json.dumps({"entries": rows}))
    folder = KnowledgeFolder(tmp_path / "missing", faq)
    folder.refresh()
    assert folder.passages == [Passage("faq.json", "open", "9 to 18")]


def test_the_answers_that_are_shipped_are_no_knowledge() -> None:
    """They are examples, or about the demo: a connected model would give customers an invented address."""
    folder = KnowledgeFolder(Path("missing"), ROOT / "faq.json")
    folder.refresh()
    assert folder.passages == []
    assert folder.problems == []


def test_headings_in_code_are_text_and_a_skipped_level_is_no_heading() -> None:
    """A comment of a script is not a section."""
    found = list(cut("# A\n```\n# not one\n```\n### C\ntext\n## B\nmore", "x.md"))
    assert found == [
        Passage("x.md", "A", "```\n# not one\n```"),
        Passage("x.md", "A > C", "text"),
        Passage("x.md", "A > B", "more"),
    ]


def test_a_long_section_is_cut_between_paragraphs_and_loses_nothing() -> None:
    """Every word is in one passage."""
    paragraphs = [f"{number} " + "word " * 60 for number in range(20)]
    found = list(cut("# T\n" + "\n\n".join(paragraphs), "x.md"))
    assert len(found) > 1
    assert all(len(passage.text) <= MAX_PASSAGE_CHARS and passage.title == "T" for passage in found)
    assert " ".join(passage.text for passage in found).split() == " ".join(paragraphs).split()
