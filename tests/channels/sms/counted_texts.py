"""Texts with the segments that Twilio's own calculator counts: sms-segments-calculator 1.3.0 of npm, kept in a file.

`python -m tests.channels.sms.counted_texts FOLDER` writes the file anew, with the calculator of FOLDER/node_modules.
"""

from __future__ import annotations

import itertools
import json
import lzma
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from relay.channels.sms.segments import GSM_EXTENDED, split
from relay.core.cutting import utf16_length

FILE = Path(__file__).with_name("counted_texts.json.xz")
COUNT = 5000

_CALCULATOR = """
const {SegmentedMessage} = require("sms-segments-calculator");
const texts = JSON.parse(require("fs").readFileSync(0));
const counted = texts.map((text) => new SegmentedMessage(text));
process.stdout.write(JSON.stringify(counted.map((one) => [one.segmentsCount, one.encodingName === "GSM-7"])));
"""

_GSM_BORDERS = (0, 1, 159, 160, 161, 305, 306, 307, 458, 459, 460, 612, 1530)
_UCS2_BORDERS = (0, 1, 69, 70, 71, 133, 134, 135, 200, 201, 202, 268, 670)
_WIDE = "😀", "🎉", "𝒳", "𠮷", "🧡"  # noqa: RUF001 (characters of two units are what is counted)
_SCRIPTS = "я", "ß€", "ş", "日", "م", "ह", "ก", "ă", "’", "–", "…", "`", "\t", "\u200b", "\u00a0"  # noqa: RUF001
_CLUSTERS = "👍🏽", "👩‍👩‍👧", "🇩🇪", "e\u0301", "1️⃣", "กำ", "नि", "각"
_SENTENCES = (
    "the shop is open from nine to five on Monday and we are closed for lunch Ça coûte 12,50 € für Öl ¿qué tal? "
    "see https://example.com/a_b[1] or write to ann@example.com about {order} #7 ~ 50% ^ | \\ thanks привет мир 你好 "
    "مرحبا नमस्ते 😀 – “yes” it’s Æ Ø å ñ ü"  # noqa: RUF001 (such characters are what is counted)
)
_WORDS = _SENTENCES.split()


def _at_borders() -> Iterator[str]:
    """The characters that are wide, or change the alphabet, at each offset around each border."""
    for border, char, back in itertools.product(_GSM_BORDERS, sorted(GSM_EXTENDED), range(4)):
        yield "a" * max(0, border - back) + char + "b" * back
    for border, char, back in itertools.product(_UCS2_BORDERS, _WIDE, range(4)):
        yield "я" * max(0, border - back) + char + "ж" * back
    for border, char in itertools.product((*_GSM_BORDERS, *_UCS2_BORDERS), _SCRIPTS):
        yield "a" * border + char
    for border, cluster, back in itertools.product((67, 134), _CLUSTERS, range(8)):
        head = "я" * (border - back) + cluster
        yield from (head + "я" * 70, head + "я" * (201 - utf16_length(head)))


def _of_words(rng: random.Random) -> Iterator[str]:
    """Answers as people get them, half of them in GSM-7 alone; and the parts of those that are too long for one."""
    while True:
        words = _WORDS[:28] if rng.random() < 0.5 else _WORDS
        text = " ".join(rng.choice(words) for _ in range(int(rng.paretovariate(0.8) * 3) % 600))
        if text:
            yield from (part.text for part in split(text, rng.choice((160, 320, 1600))))


def texts() -> list[str]:
    """Different texts, the same each time on one version of Python."""
    found = dict.fromkeys(itertools.chain(_at_borders(), itertools.islice(_of_words(random.Random(7)), 12_000)))
    return list(itertools.islice(found, COUNT))


def counted() -> list[tuple[str, int, bool]]:
    """Each text with its segments, and whether they are of GSM-7."""
    return [tuple(row) for row in json.loads(lzma.decompress(FILE.read_bytes()))]


def _write(folder: Path) -> None:
    given = texts()
    done = subprocess.run(
        ["node", "-e", _CALCULATOR], cwd=folder, input=json.dumps(given), capture_output=True, text=True, check=True
    )
    rows = [[text, *found] for text, found in zip(given, json.loads(done.stdout), strict=True)]
    FILE.write_bytes(lzma.compress(json.dumps(rows, ensure_ascii=False).encode(), preset=9))
    print(len(rows), "texts,", FILE.stat().st_size, "bytes")  # noqa: T201


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
