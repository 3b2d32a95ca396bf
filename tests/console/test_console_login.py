"""The login of the console: which tokens and cookies are accepted, and when guesses are refused."""

from __future__ import annotations

import re
import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import strategies as st

from relay.channels.registry import CHANNELS
from relay.console.channels import SubmittedForms
from relay.console.login import own_path
from relay.web.access import COOKIE
from relay.web.token_guard import TokenGuard
from tests.console.running import browsing, nothing, settings_after
from tests.console.sample_data import ALICE, alice_asks
from tests.repository.route_walk import make_app

TOKEN = "open sesame"


async def sign_in(browser: httpx.AsyncClient, token: str = TOKEN, **headers: str) -> httpx.Response:
    return await browser.post("/login", data={"token": token, "next": "/?q=a"}, headers=headers)


async def test_without_the_token_every_page_leads_to_the_login(tmp_path: Path) -> None:
    """Browsers are sent to sign in and back to where they wanted to go; scripts get a 403."""
    async with browsing(await settings_after(nothing, tmp_path, admin_token=TOKEN)) as browser:
        page = await browser.get("/person?platform=sms&id=%2B1")
        form = await browser.get(page.headers["Location"])
        script = await browser.get("/", headers={"Accept": "*/*"})
        posted = await browser.post("/person/clear", data={"platform": "sms", "id": "+1"})
    assert page.headers["Location"] == "/login?next=%2Fperson%3Fplatform%3Dsms%26id%3D%252B1"
    assert 'value="/person?platform=sms&amp;id=%2B1"' in form.text
    assert script.status_code == posted.status_code == 403
    assert script.json()["hint"]


async def test_the_token_opens_and_signing_out_closes(tmp_path: Path) -> None:
    """The cookie is for this site alone, no script can read it, and it goes with the sign-out."""
    async with browsing(await settings_after(nothing, tmp_path, admin_token=TOKEN)) as browser:
        answer = await sign_in(browser)
        cookie = answer.headers["Set-Cookie"]
        inside = await browser.get("/")
        gone = await browser.post("/logout")
        outside = await browser.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?q=a")
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert "Sign out" in inside.text
    assert gone.headers["Location"] == "/login"
    assert outside.status_code == 303


async def asked(app: FastAPI, path: str, cookie: str) -> int:
    """The status of a request with this cookie to an app that was started."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.get(path, headers={"Cookie": f"{COOKIE}={cookie}"})).status_code


async def test_signing_out_ends_the_login_on_every_server(tmp_path: Path) -> None:
    """A cookie that was copied before opens nothing any more, neither here nor at the channels."""
    settings = await settings_after(nothing, tmp_path, admin_token=TOKEN, simulated=True)
    changes = frozenset({"admin_token": settings.admin_token, "database_url": settings.database_url}.items())
    channels = {channel.platform: make_app(channel.module, changes) for channel in CHANNELS if channel.host is None}
    async with AsyncExitStack() as running:
        for app in channels.values():
            await running.enter_async_context(app.router.lifespan_context(app))
        browser = await running.enter_async_context(browsing(settings))
        await sign_in(browser)
        stolen = browser.cookies[COOKIE]

        async def opened() -> set[int]:
            here = (await browser.get("/api/overview", headers={"Cookie": f"{COOKIE}={stolen}"})).status_code
            return {here, *[await asked(app, f"/{name}/status", stolen) for name, app in channels.items()]}

        assert await opened() == {200}
        assert (await browser.post("/logout")).status_code == 303
        assert await opened() == {403, 303} or await opened() == {403}


async def test_only_the_login_that_signs_out_ends(tmp_path: Path) -> None:
    """Another browser of the operator stays signed in."""
    async with browsing(await settings_after(nothing, tmp_path, admin_token=TOKEN)) as browser:
        await sign_in(browser)
        other = browser.cookies[COOKIE]
        browser.cookies.clear()
        await sign_in(browser)
        await browser.post("/logout")
        assert (await browser.get("/", headers={"Cookie": f"{COOKIE}={other}"})).status_code == 200


async def test_signing_in_again_ends_the_browsers_earlier_login(tmp_path: Path) -> None:
    """Else the sign-out that follows would leave it open."""
    async with browsing(await settings_after(nothing, tmp_path, admin_token=TOKEN)) as browser:
        await sign_in(browser)
        earlier = browser.cookies[COOKIE]
        await sign_in(browser)
        assert earlier != browser.cookies[COOKIE]
        browser.cookies.clear()
        assert (await browser.get("/", headers={"Cookie": f"{COOKIE}={earlier}"})).status_code == 303


async def test_the_database_holds_no_cookie(tmp_path: Path) -> None:
    """Neither it nor the token can be read out of a stolen backup."""
    settings = await settings_after(nothing, tmp_path, admin_token=TOKEN)
    async with browsing(settings) as browser:
        await sign_in(browser)
        cookie = browser.cookies[COOKIE]
    with sqlite3.connect(tmp_path / "messaging.db") as connection:
        [(stored,)] = connection.execute("select login_id from logins").fetchall()
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert re.fullmatch("[0-9a-f]{64}", stored)
    assert cookie not in dump
    assert TOKEN not in dump


async def test_over_https_the_cookie_never_travels_in_the_clear(tmp_path: Path) -> None:
    """Behind a proxy with https the browser's Origin says so, and the cookie is Secure."""
    async with browsing(await settings_after(nothing, tmp_path, admin_token=TOKEN)) as browser:
        plain = await sign_in(browser)
        host = urlsplit(str(browser.base_url)).netloc
        secure = await sign_in(browser, Origin=f"https://{host}")
    assert "Secure" not in plain.headers["Set-Cookie"]
    assert "Secure" in secure.headers["Set-Cookie"]


async def test_too_many_wrong_tokens_lock_the_login_for_a_while(tmp_path: Path) -> None:
    """After five wrong ones not even the right one is looked at, and the answer says how long."""
    async with browsing(await settings_after(nothing, tmp_path, admin_token=TOKEN)) as browser:
        wrong = [await sign_in(browser, f"guess {number}") for number in range(5)]
        right = await sign_in(browser)
    assert [answer.status_code for answer in wrong] == [403] * 5
    assert "That is not the admin token." in wrong[0].text
    assert right.status_code == 429
    assert 0 < int(right.headers["Retry-After"]) <= 31
    assert "Set-Cookie" not in right.headers


def test_the_guard_unlocks_when_the_time_is_over() -> None:
    """Half a minute after the first mistake the next token is looked at."""
    now = 100.0
    guard = TokenGuard(TOKEN, lambda: now)
    for _ in range(5):
        assert guard.locked_for() == 0
        assert not guard.check("wrong")
        now += 1
    assert guard.locked_for() == 25
    now += 25
    assert guard.locked_for() == 0
    assert guard.check(TOKEN)


async def test_another_site_cannot_keep_the_login_locked(tmp_path: Path) -> None:
    """Wrong tokens from a foreign page are refused without being counted."""
    async with browsing(await settings_after(nothing, tmp_path, admin_token=TOKEN)) as browser:
        foreign = [await sign_in(browser, "wrong", Origin="https://evil.example") for _ in range(6)]
        right = await sign_in(browser)
    assert {answer.status_code for answer in foreign} == {403}
    assert right.status_code == 303


@pytest.mark.parametrize("cookie", ["", "x", "9999999999.", "9999999999." + "0" * 64, "é", "1.2.3", "a" * 43])
async def test_a_made_up_cookie_opens_nothing(tmp_path: Path, cookie: str) -> None:
    """Only what the login gave is taken."""
    async with browsing(await settings_after(nothing, tmp_path, admin_token=TOKEN)) as browser:
        answer = await browser.get("/", headers={b"Cookie": f"{COOKIE}={cookie}".encode()})
    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("changes", "headers", "status"),
    [
        ({}, {}, 200),
        ({}, {"X-Forwarded-For": "1.2.3.4"}, 403),
        ({}, {"Host": "rebound.example"}, 403),
        ({"public_url": "https://relay.example"}, {}, 403),
    ],
)
async def test_without_a_token_only_this_machine_comes_in(
    tmp_path: Path, changes: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    """A proxy, a rebound name or a public address close the console; the page says what to do."""
    async with browsing(await settings_after(nothing, tmp_path, **changes)) as browser:
        page = await browser.get("/", headers=headers)
        login = await browser.get("/login")
    assert page.status_code == status
    assert "<h1" in page.text
    assert login.headers["Location"] == "/"


@given(st.one_of(st.text(), st.text(alphabet="/\\:@.?#%ax\t\n", max_size=12).map(lambda tail: f"/{tail}")))
@example("//evil.example")
@example("/\\evil.example")
@example("/\t/evil.example")
@example("https://evil.example")
@example("javascript:alert(1)")
@example("/person?platform=sms&id=%2B1#newest")
@example("/" + "a" * 100_000)
def test_the_login_never_leads_to_another_house(path: str) -> None:
    """Whatever is asked for, the next page is on this console, as browsers read addresses."""
    shown = own_path(path).replace("\\", "/").replace("\t", "").replace("\n", "").replace("\r", "")
    joined = urlsplit(urljoin("http://127.0.0.1:8042/login", shown))
    assert (joined.scheme, joined.netloc) == ("http", "127.0.0.1:8042")
    assert len(shown) <= 2000


def test_a_form_is_handled_once_and_old_ones_are_forgotten() -> None:
    """The memory of handled forms is bounded; a form without a name is always new."""
    forms = SubmittedForms(capacity=2)
    assert [forms.is_new(name) for name in ("a", "a", "", "", "b", "c", "a")] == [
        True,
        False,
        True,
        True,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("headers", "words", "link"),
    [
        ({"Referer": "{own}/person?platform=sms&id=%2B1"}, "You are signed out", "/login?next=%2Fperson%3Fplatform"),
        ({}, "You are signed out", "/login?next=%2F"),
        ({"Origin": "https://evil.example"}, "This form was sent from another site", 'href="/"'),
        ({"Origin": "null"}, "This form was sent from another site", 'href="/"'),
    ],
)
async def test_a_form_whose_login_ended_gets_a_page_with_the_way_back(
    tmp_path: Path, headers: dict[str, str], words: str, link: str
) -> None:
    """And nothing is done; a form of another site is told apart."""
    async with browsing(await settings_after(alice_asks, tmp_path, admin_token=TOKEN)) as browser:
        own = str(browser.base_url).rstrip("/")
        sent = {name: value.format(own=own) for name, value in headers.items()}
        page = await browser.post("/person/block", data={"platform": "sms", "id": ALICE}, headers=sent)
        await sign_in(browser)
        person = await browser.get("/person", params={"platform": "sms", "id": ALICE})
    assert page.status_code == 403
    assert words in page.text
    assert link in page.text
    assert "Blocked by you" not in person.text
