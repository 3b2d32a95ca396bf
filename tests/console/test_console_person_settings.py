"""Block, pause, limits, language and notes of one person in the console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.console.running import browsing, settings_after
from tests.console.sample_data import SCRIPT, alice_asks

ALICE = {"platform": "sms", "id": "+12025550147"}


async def test_what_is_set_is_shown_kept_and_recorded(tmp_path: Path) -> None:
    """On the page, in the form, beside the name on the home page, and in the audit log, which quotes no notes."""
    async with browsing(await settings_after(alice_asks, tmp_path)) as browser:
        chosen = {"language": "de", "per_minute": "3", "per_day": "40", "note": f"Pays late {SCRIPT}"}
        saved = await browser.post("/person/settings", data={**ALICE, **chosen})
        page = (await browser.get(saved.headers["Location"])).text
        home = (await browser.get("/")).text
        audit = (await browser.get("/audit")).text
        emptied = await browser.post("/person/settings", data={**ALICE, "language": "", "per_minute": "", "note": " "})
        after = (await browser.get(emptied.headers["Location"])).text
    for shown in ("Pays late &lt;script&gt;", "3 a minute, 40 a day", '<option value="de" selected>Deutsch'):
        assert shown in page
    assert page.count("Pays late") == 2  # above the conversation, and in the form
    assert '<span class="chip calm" title="Pays late &lt;script&gt;' in home
    assert "language de, a minute 3, a day 40, note yes" in audit
    assert "Pays late" not in audit
    assert "Pays late" not in after
    assert "Limits of this person" not in after


async def test_a_pause_shows_its_end_and_is_ended(tmp_path: Path) -> None:
    """The home page marks who is paused; the button answers the person again."""
    async with browsing(await settings_after(alice_asks, tmp_path)) as browser:
        paused = await browser.post("/person/pause", data={**ALICE, "hours": "8"})
        page = (await browser.get(paused.headers["Location"])).text
        home = (await browser.get("/")).text
        ended = await browser.post("/person/unblock", data=ALICE)
        after = (await browser.get(ended.headers["Location"])).text
    assert "Paused by you: what this person writes is stored and not answered until <time" in page
    assert "paused by you" in home
    assert "Paused by you" not in after
    assert "Block this person" in after


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("settings", {"per_minute": "0"}),
        ("settings", {"per_day": "many"}),
        ("settings", {"language": "tlh"}),
        ("settings", {"note": "x" * 4001}),
        ("pause", {"hours": "0"}),
        ("pause", {"hours": "721"}),
        ("pause", {}),
    ],
)
async def test_what_cannot_be_set_is_refused(tmp_path: Path, path: str, wrong: dict[str, Any]) -> None:
    """Nothing is changed or recorded by it."""
    async with browsing(await settings_after(alice_asks, tmp_path)) as browser:
        assert (await browser.post(f"/person/{path}", data={**ALICE, **wrong})).status_code == 422
        assert "No operator has done anything yet" in (await browser.get("/audit")).text
