"""The tunnel: what its programs print, the webhooks that it sets and puts back, and both with real processes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from relay.channels.registry import AllSettings
from relay.channels.sms.connecting import addresses, connect, restore
from relay.channels.telegram import connecting as telegram
from relay.config.errors import SettingsError
from relay.config.loading import load_settings
from relay.core.errors import SendError
from relay.launcher.control import NoLauncherError
from relay.launcher.diagnosis import examine
from relay.launcher.plan import Plan, Selection, make_plan
from relay.launcher.tunnel import Tunnel
from relay.launcher.tunnel_file import FILE, Noted, TunnelFile, clear_tunnel, left_by_tunnel
from relay.launcher.tunnel_programs import PROGRAMS, TunnelError, installed, open_tunnel, require_program
from tests.launcher.provider_stand_in import ProviderStandIn, provider_stand_in

SID, SERVICE, NUMBER, OTHER = "AC" + "5e" * 16, "MG" + "5e" * 16, "+12025550123", "+12025550124"
NUMBERS = f"/2010-04-01/Accounts/{SID}/IncomingPhoneNumbers"
OLD, OURS = "https://old.example.com/sms/webhook#rc=2", "https://ours.example.com"
STAND_IN = Path(__file__).with_name("tunnel_stand_in.py")

# -- what the programs print -------------------------------------------------------------------------------------------

FRAME = "2026-11-28T00:00:00Z INF |  {}                                        |"


@pytest.mark.parametrize(
    ("program", "line", "address"),
    [
        ("cloudflared", FRAME.format("https://quiet-river-12.trycloudflare.com"), "https://quiet-river-12.trycloudflare.com"),
        ("cloudflared", FRAME.format("Your quick Tunnel has been created! Visit it at (it may take ...):"), None),
        ("cloudflared", "2026-11-28T00:00:00Z INF Requesting new quick Tunnel on trycloudflare.com...", None),
        ("cloudflared", 'ERR failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": EOF', None),
        ("cloudflared", "INF Thank you for trying Cloudflare Tunnel. https://developers.cloudflare.com/x", None),
        ("ngrok", '{"lvl":"info","msg":"started tunnel","obj":"tunnels","url":"https://a1.ngrok-free.app"}', "https://a1.ngrok-free.app"),
        ("ngrok", '{"lvl":"info","msg":"started tunnel","url":"tcp://0.tcp.ngrok.io:10936"}', None),
        ("ngrok", '{"lvl":"info","msg":"starting web service","addr":"127.0.0.1:4040","url":"http://x"}', None),
        ("ngrok", '{"lvl":"info","msg":"update available","url":"https://ngrok.com/download"}', None),
        ("ngrok", "ERROR:  see https://dashboard.ngrok.com/get-started/your-authtoken", None),
        ("ngrok", '["started tunnel"]', None),
    ],
)  # fmt: skip
def test_an_address_is_read_where_it_is_announced_and_nowhere_else(
    program: str, line: str, address: str | None
) -> None:
    """Messages of failures, of updates and of the program's own pages name addresses too."""
    assert PROGRAMS[program].address_in(line) == address


@pytest.mark.parametrize(
    ("program", "line", "error"),
    [
        ("cloudflared", "2026-11-28T00:00:00Z ERR Unauthorized: Tunnel not found", "Unauthorized: Tunnel not found"),
        ("cloudflared", "2026-11-28T00:00:00Z ERR Configuration file /dev/null was empty", None),
        ("cloudflared", "2026-11-28T00:00:00Z INF Registered tunnel connection", None),
        ("ngrok", '{"lvl":"eror","msg":"session closing","err":"authentication failed"}', "authentication failed"),
        ("ngrok", '{"lvl":"crit","msg":"command failed"}', "command failed"),
        ("ngrok", '{"lvl":"warn","msg":"slow"}', None),
        ("ngrok", "ERROR:  ERR_NGROK_4018", "ERR_NGROK_4018"),
    ],
)
def test_what_a_program_reports_as_a_mistake_is_shown(program: str, line: str, error: str | None) -> None:
    """The rest of what it prints is not."""
    assert PROGRAMS[program].error_in(line) == error


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Stand-ins of the named programs, alone on PATH; the folder that holds them."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def place(*names: str, mode: str = "") -> Path:
        for name in names:
            (folder / name).write_text(f"#!{sys.executable}\n{STAND_IN.read_text()}")
            (folder / name).chmod(0o755)
            (folder / f"{name}.mode").write_text(mode)
        return folder

    return place


@pytest.mark.parametrize(
    ("present", "wanted", "reserved", "chosen"),
    [
        (("cloudflared", "ngrok"), "auto", None, "cloudflared"),
        (("cloudflared", "ngrok"), "auto", "https://mine.ngrok-free.dev", "ngrok"),
        (("cloudflared", "ngrok"), "auto", "https://ngrok.example.com", "cloudflared"),
        (("cloudflared", "ngrok"), "ngrok", None, "ngrok"),
        (("ngrok",), "auto", None, "ngrok"),
        (("ngrok",), "cloudflared", None, None),
        ((), "auto", "https://mine.ngrok-free.dev", None),
    ],
)
def test_the_program_is_the_one_that_is_wanted_or_installed(
    tools: Callable[..., Path], present: tuple[str, ...], wanted: str, reserved: str | None, chosen: str | None
) -> None:
    """An address of ngrok's is a reason to take it."""
    tools(*present)
    found = installed(wanted, reserved)
    assert (found.name if found else None) == chosen


def test_ngrok_takes_the_address_that_it_reserved_and_no_other() -> None:
    """Any other public_url was of a tunnel of before."""
    ngrok = PROGRAMS["ngrok"].command
    assert ngrok("http://127.0.0.1:1", "https://mine.ngrok-free.dev")[1:4] == [
        *("http://127.0.0.1:1", "--url", "https://mine.ngrok-free.dev")
    ]
    assert "--url" not in ngrok("http://127.0.0.1:1", "https://old.trycloudflare.com")


@pytest.mark.parametrize(
    ("program", "mode", "why"),
    [
        ("cloudflared", "refuse", "cloudflared ended with status 1: failed to request quick Tunnel"),
        ("ngrok", "refuse", "ngrok ended with status 1: authentication failed.*: ERR_NGROK_4018"),
        ("cloudflared", "silent", "cloudflared named no address within 0.2 s"),
        ("ngrok", "missing", "ngrok cannot be started: No such file"),
    ],
)
async def test_a_program_that_gives_no_address_says_why(
    tools: Callable[..., Path], program: str, mode: str, why: str
) -> None:
    """And is ended."""
    folder = tools(program, mode=mode)
    if mode == "missing":
        (folder / program).unlink()
    seconds = 0.2 if mode == "silent" else 30
    with pytest.raises(TunnelError, match=why):
        await open_tunnel(PROGRAMS[program], "http://127.0.0.1:1", None, lambda _: None, seconds)
    assert not [one for one in psutil.Process().children() if program in " ".join(one.cmdline())]


# -- webhooks at Twilio ------------------------------------------------------------------------------------------------


def configured(twilio: ProviderStandIn, **changes: Any) -> Any:
    values = {
        "twilio_account_sid": SID,
        "twilio_auth_token": "0123456789abcdef0123456789abcdef",
        "twilio_phone_number": NUMBER,
        "twilio_api_base_url": twilio.url,
        "telegram_bot_token": "123:abc",
        "telegram_api_base_url": twilio.url,
        "public_url": OURS,
    }
    return AllSettings(**values | changes)


def number_answers(sid: str, number: str, **changes: Any) -> dict[str, tuple[int, Any]]:
    row = {"sid": sid, "phone_number": number, "sms_url": OLD, "sms_method": "GET"} | changes
    listed = f"GET {NUMBERS}.json?PhoneNumber=%2B{number[1:]}"
    return {listed: (200, {"incoming_phone_numbers": [row]}), f"POST {NUMBERS}/{sid}.json": (200, row)}


def posted(twilio: ProviderStandIn) -> list[tuple[str, dict[str, str]]]:
    return [(line.split()[1], form) for line, form in twilio.forms if line.startswith("POST")]


async def test_the_webhooks_of_all_our_numbers_are_set_and_put_back() -> None:
    """Address, method and TwiML App, each as it was."""
    first = number_answers("PN1", NUMBER)
    second = number_answers("PN2", OTHER, sms_application_sid="AP1", sms_url=None)
    with provider_stand_in(first | second) as twilio:
        settings = configured(twilio, twilio_other_numbers=(OTHER,))
        before = await addresses(settings)
        await connect(settings)
        ours = {"SmsUrl": f"{OURS}/sms/webhook#rc=3&rp=all", "SmsMethod": "POST"}
        assert posted(twilio) == [
            (f"{NUMBERS}/PN1.json", ours),
            (f"{NUMBERS}/PN2.json", {**ours, "SmsApplicationSid": ""}),
        ]
        twilio.forms.clear()
        for answers, sid in ((first, "PN1"), (second, "PN2")):
            [(status, found), _] = answers.values()
            row = {**found["incoming_phone_numbers"][0], "sms_url": ours["SmsUrl"], "sms_application_sid": ""}
            listed = next(iter(answers))
            twilio.answers[listed] = (status, {"incoming_phone_numbers": [row]})
            assert row["sid"] == sid
        await restore(settings, json.loads(json.dumps(before)))
        assert posted(twilio) == [
            (f"{NUMBERS}/PN1.json", {"SmsUrl": OLD, "SmsMethod": "GET"}),
            (f"{NUMBERS}/PN2.json", {"SmsUrl": "", "SmsMethod": "GET", "SmsApplicationSid": "AP1"}),
        ]


async def test_the_webhook_of_a_messaging_service_is_set_and_put_back() -> None:
    """A service that defers to its numbers does so again afterwards."""
    service = {"inbound_request_url": None, "inbound_method": "POST", "use_inbound_webhook_on_number": True}
    path = f"/v1/Services/{SERVICE}"
    with provider_stand_in({f"GET {path}": (200, service), f"POST {path}": (200, {})}) as twilio:
        settings = configured(twilio, twilio_messaging_service_sid=SERVICE)
        before = await addresses(settings)
        await connect(settings)
        url = f"{OURS}/sms/webhook#rc=3&rp=all"
        ours = {"InboundRequestUrl": url, "InboundMethod": "POST", "UseInboundWebhookOnNumber": "false"}
        assert posted(twilio) == [(f"/v1/Services/{SERVICE}", ours)]
        twilio.answers[f"GET /v1/Services/{SERVICE}"] = (200, {**service, "inbound_request_url": url})
        await restore(settings, before)
        old = {"InboundRequestUrl": "", "InboundMethod": "POST", "UseInboundWebhookOnNumber": "true"}
        assert posted(twilio)[1:] == [(f"/v1/Services/{SERVICE}", old)]


async def test_a_webhook_that_was_changed_meanwhile_is_left_alone() -> None:
    """Somebody entered another address in the console: that one counts."""
    with provider_stand_in(number_answers("PN1", NUMBER)) as twilio:
        settings = configured(twilio)
        path = f"{NUMBERS}/PN1.json"
        assert await restore(settings, {path: {"SmsUrl": "https://older.example.com", "SmsMethod": "POST"}}) == []
        assert posted(twilio) == []


async def test_a_number_of_another_account_is_an_error() -> None:
    """Nothing is set."""
    with provider_stand_in({f"GET {NUMBERS}": (200, {"incoming_phone_numbers": []})}) as twilio:
        with pytest.raises(SendError, match="is no number of this account"):
            await connect(configured(twilio))
        assert posted(twilio) == []


@pytest.mark.parametrize(
    ("now", "before", "method"),
    [
        (f"{OURS}/telegram/webhook", "", "deleteWebhook"),
        (f"{OURS}/telegram/webhook", f"{OURS}/telegram/webhook", "deleteWebhook"),
        (f"{OURS}/telegram/webhook", "https://old.example.com/telegram/webhook", "setWebhook"),
        ("https://other.example.com/telegram/webhook", "https://old.example.com/telegram/webhook", None),
    ],
    ids=["there was none", "the server was quicker", "there was another", "changed meanwhile"],
)
async def test_telegrams_webhook_is_put_back(now: str, before: str, method: str | None) -> None:
    """With the secret of the settings, as Telegram does not tell the old one."""
    done = (200, {"ok": True, "result": True})
    answers = {
        "POST /bot123:abc/getWebhookInfo": (200, {"ok": True, "result": {"url": now, "max_connections": 40}}),
        "POST /bot123:abc/setWebhook": done,
        "POST /bot123:abc/deleteWebhook": done,
    }
    with provider_stand_in(answers) as bot_api:
        settings = configured(bot_api, telegram_mode="webhook")
        assert (await telegram.addresses(settings)) == {"url": now, "max_connections": 40}
        await telegram.restore(settings, {"url": before, "max_connections": 40})
        last = bot_api.requests[-1].split("/")[2].split()[0]
        assert last == (method or "getWebhookInfo")


# -- the plan ----------------------------------------------------------------------------------------------------------

TWILIO_ENV = f"TWILIO_ACCOUNT_SID=AC{'5e' * 16}\nTWILIO_AUTH_TOKEN=0123456789abcdef\nTWILIO_PHONE_NUMBER=+12025550123\n"


def plan_of(folder: Path, env: str, environ: dict[str, str], addresses: dict[str, str] | None = None) -> Plan:
    (folder / ".env").write_text(env)
    return make_plan(load_settings(AllSettings, folder, environ), Selection(), addresses=addresses or {})


def test_a_tunnel_comes_first_and_every_server_waits_for_its_address(tmp_path: Path) -> None:
    """And stops last, because the Telegram server would set its webhook again."""
    plan = plan_of(tmp_path, TWILIO_ENV, {"TUNNEL": "auto"}, {"sms": OURS})
    assert [program.name for program in plan.programs] == ["tunnel", "llm", "sms", "admin"]
    assert [program.name for program in plan.programs if "tunnel" not in program.waits_for] == ["tunnel"]
    assert {program.name: program.public_url for program in plan.programs} == {
        **dict.fromkeys(("llm", "sms", "admin"), OURS),
        "tunnel": None,
    }
    assert plan.settings.public_url == OURS


@pytest.mark.parametrize(
    ("env", "environ", "left_out"),
    [
        ("", {"TUNNEL": "auto"}, "the simulator needs none"),
        ("TELEGRAM_BOT_TOKEN=123:abc\n", {"TUNNEL": "auto"}, "no provider pushes anything to a server that is started"),
        (TWILIO_ENV, {}, None),
    ],
    ids=["try-out mode", "Telegram polls", "not wanted"],
)
def test_where_nothing_is_pushed_there_is_no_tunnel(
    tmp_path: Path, env: str, environ: dict[str, str], left_out: str | None
) -> None:
    """The launcher says so."""
    plan = plan_of(tmp_path, env, environ)
    assert not plan.has_tunnel
    assert dict(plan.left_out).get("tunnel") == left_out


def test_both_channels_get_an_address_of_their_own(tmp_path: Path) -> None:
    """One address leads to one port; a change of one restarts that server, the console and the LLM server see one."""
    env = f"{TWILIO_ENV}TELEGRAM_BOT_TOKEN=123:abc\nTELEGRAM_MODE=webhook\n"
    plan = plan_of(tmp_path, env, {"TUNNEL": "cloudflared"}, {"sms": "https://a.test", "telegram": "https://b.test"})
    by_name = {program.name: program.public_url for program in plan.programs}
    assert by_name["sms"] == by_name["admin"] == "https://a.test"
    assert by_name["telegram"] == "https://b.test"


def test_a_tunnel_of_ones_own_needs_its_address(tmp_path: Path) -> None:
    """The address is that of the settings; no program is needed."""
    plan = plan_of(tmp_path, TWILIO_ENV, {"TUNNEL": "own", "PUBLIC_URL": OURS})
    assert {one.public_url for one in plan.programs} == {OURS, None}
    require_program(plan, load_settings(AllSettings, tmp_path, {"TUNNEL": "own", "PUBLIC_URL": OURS}))
    with pytest.raises(SettingsError, match="TUNNEL=own needs PUBLIC_URL"):
        plan_of(tmp_path, TWILIO_ENV, {"TUNNEL": "own"})


def test_a_weak_admin_token_is_refused_with_a_tunnel(tmp_path: Path) -> None:
    """The address will be on the internet, though it is not known yet."""
    with pytest.raises(SettingsError, match="admin_token"):
        plan_of(tmp_path, f"{TWILIO_ENV}ADMIN_TOKEN=x\n", {"TUNNEL": "auto"})


def test_without_a_program_the_start_is_refused_with_the_ways_out(tools: Callable[..., Path], tmp_path: Path) -> None:
    """And `--check` has it as a problem."""
    tools()
    environ = {"TUNNEL": "ngrok"}
    plan = plan_of(tmp_path, TWILIO_ENV, environ)
    with pytest.raises(SettingsError, match=r"ngrok is not installed.*--public-url"):
        require_program(plan, load_settings(AllSettings, tmp_path, environ))


# -- the tunnel --------------------------------------------------------------------------------------------------------


class World:
    """A tunnel in a folder, its Twilio, and the server behind it, which is the Twilio stand-in's port too."""

    def __init__(self, folder: Path, twilio: ProviderStandIn) -> None:
        self.folder = folder
        self.twilio = twilio
        self.failures = 0
        self.failed = asyncio.Event()
        self.reloads: list[dict[str, str]] = []
        self.naps: asyncio.Queue[float] = asyncio.Queue()
        self.wake: asyncio.Queue[None] = asyncio.Queue()
        row = number_answers("PN1", NUMBER)
        twilio.answers |= row | {"GET /health": (200, {"status": "ok"})}

    def tunnel(self, **changes: Any) -> Tunnel:
        settings = configured(
            self.twilio,
            **{"tunnel": "cloudflared", "public_url": None, "sms_server_port": self.twilio.server_port, **changes},
        )
        return Tunnel(settings, self.folder, self.fail, self.reload, self.sleep)

    def fail(self) -> None:
        self.failures += 1
        self.failed.set()

    def reload(self, folder: Path) -> dict[str, Any]:
        self.reloads.append(TunnelFile(folder).addresses())
        return {"restarted": ["sms"]}

    async def sleep(self, seconds: float) -> None:
        self.naps.put_nowait(seconds)
        await self.wake.get()

    def webhook_is(self, url: str) -> None:
        self.twilio.answers |= number_answers("PN1", NUMBER, sms_url=url)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with provider_stand_in({}) as twilio:
        yield World(tmp_path, twilio)


async def test_an_open_tunnel_sets_the_webhook_and_its_end_puts_it_back(
    world: World, tools: Callable[..., Path]
) -> None:
    """The launcher gives the servers the address before anything is set at Twilio."""
    tools("cloudflared")
    tunnel = world.tunnel()
    await tunnel.start()
    [address] = world.reloads[0].values()
    assert await asyncio.wait_for(world.naps.get(), 30) == 60.0
    ours = f"{address}/sms/webhook#rc=3&rp=all"
    assert posted(world.twilio)[-1] == (f"{NUMBERS}/PN1.json", {"SmsUrl": ours, "SmsMethod": "POST"})
    assert tunnel.reasons == {}
    noted = TunnelFile(world.folder).read()["sms"]
    assert noted.before == {f"{NUMBERS}/PN1.json": {"SmsUrl": OLD, "SmsMethod": "GET"}}
    assert noted.pid is not None
    assert psutil.pid_exists(noted.pid)
    world.webhook_is(ours)
    await tunnel.stop()
    assert posted(world.twilio)[-1] == (f"{NUMBERS}/PN1.json", {"SmsUrl": OLD, "SmsMethod": "GET"})
    assert not (world.folder / FILE).exists()
    assert not psutil.pid_exists(noted.pid)
    assert world.failures == 0


async def test_a_tunnel_that_ends_is_opened_anew_by_the_launcher(world: World, tools: Callable[..., Path]) -> None:
    """The program ends by the same way as at a stop, and the launcher starts it again."""
    tools("cloudflared")
    tunnel = world.tunnel()
    await tunnel.start()
    pid = TunnelFile(world.folder).read()["sms"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await asyncio.wait_for(world.failed.wait(), 30)
    await tunnel.stop()
    assert world.failures == 1


async def test_a_tunnel_through_which_nothing_arrives_any_more_is_opened_anew(
    world: World, tools: Callable[..., Path]
) -> None:
    """After five checks in a row; while our own server is away, no check counts."""
    tools("cloudflared")
    tunnel = world.tunnel()
    await tunnel.start()
    await asyncio.wait_for(world.naps.get(), 30)
    address = world.reloads[0]["sms"]
    tunnel._noted["sms"] = replace(tunnel._noted["sms"], address="http://127.0.0.1:9")
    for _ in range(4):
        world.wake.put_nowait(None)
        await asyncio.wait_for(world.naps.get(), 30)
    assert world.failures == 0
    world.twilio.answers["GET /health"] = (503, {})
    world.wake.put_nowait(None)
    await asyncio.wait_for(world.naps.get(), 30)
    world.twilio.answers["GET /health"] = (200, {"status": "ok"})
    for _ in range(4):
        world.wake.put_nowait(None)
        await asyncio.wait_for(world.naps.get(), 30)
    assert world.failures == 0
    world.wake.put_nowait(None)
    await asyncio.wait_for(world.failed.wait(), 30)
    tunnel._noted["sms"] = replace(tunnel._noted["sms"], address=address)
    await tunnel.stop()


async def test_an_address_of_ones_own_is_set_and_put_back_without_any_program(world: World) -> None:
    """What `--public-url` does."""
    tunnel = world.tunnel(tunnel="own", public_url=world.twilio.url)
    await tunnel.start()
    await asyncio.wait_for(world.naps.get(), 30)
    ours = f"{world.twilio.url}/sms/webhook#rc=3&rp=all"
    assert posted(world.twilio)[-1][1]["SmsUrl"] == ours
    world.webhook_is(ours)
    await tunnel.stop()
    assert posted(world.twilio)[-1][1]["SmsUrl"] == OLD


async def test_twilio_that_cannot_be_reached_is_asked_again(world: World) -> None:
    """The address is given to the servers meanwhile, and the reason is what /ready shows."""
    answers, world.twilio.answers = world.twilio.answers, {"GET /health": (200, {"status": "ok"})}
    tunnel = world.tunnel(tunnel="own", public_url=world.twilio.url)
    await tunnel.start()
    await asyncio.wait_for(world.naps.get(), 30)
    assert world.reloads == [{"sms": world.twilio.url}]
    assert "404" in tunnel.reasons["sms"]
    world.twilio.answers = answers
    world.wake.put_nowait(None)
    assert await asyncio.wait_for(world.naps.get(), 30) == 60.0
    assert tunnel.reasons == {}
    await tunnel.stop()


async def test_a_start_without_an_address_ends_the_program(world: World, tools: Callable[..., Path]) -> None:
    """The launcher tries again, with longer and longer pauses."""
    tools("cloudflared", mode="refuse")
    await world.tunnel().start()
    assert world.failures == 1
    assert world.reloads == []
    assert not (world.folder / FILE).exists()


async def test_a_stop_while_the_address_is_awaited_ends_at_once(world: World, tools: Callable[..., Path]) -> None:
    """And leaves no program behind."""
    tools("cloudflared", mode="silent")
    tunnel = world.tunnel()
    starting = asyncio.create_task(tunnel.start())
    while not psutil.Process().children():  # noqa: ASYNC110 (another process: there is no event to await)
        await asyncio.sleep(0.01)
    tunnel.cancel_start()
    await asyncio.wait_for(starting, 30)
    assert world.failures == 1
    assert psutil.Process().children() == []


async def test_without_a_launcher_the_webhook_is_set_all_the_same(world: World) -> None:
    """Then the servers were started by hand."""

    def unreachable(_: Path) -> dict[str, Any]:
        raise NoLauncherError

    tunnel = world.tunnel(tunnel="own", public_url=world.twilio.url)
    tunnel._reload = unreachable
    await tunnel.start()
    assert await asyncio.wait_for(world.naps.get(), 30) == 60.0
    await tunnel.stop()


def left_over(world: World) -> Noted:
    """The file of a tunnel that was killed, and Twilio as it left it."""
    noted = Noted("https://dead.example.com", {f"{NUMBERS}/PN1.json": {"SmsUrl": OLD, "SmsMethod": "POST"}})
    TunnelFile(world.folder).write({"sms": noted})
    world.webhook_is("https://dead.example.com/sms/webhook#rc=3&rp=all")
    return noted


async def test_a_tunnel_after_a_killed_one_puts_back_what_was_before_both(world: World) -> None:
    """Its own notes begin from there, not from the dead address."""
    left_over(world)
    before = len(posted(world.twilio))
    tunnel = world.tunnel(tunnel="own", public_url=world.twilio.url)
    await tunnel.start()
    assert posted(world.twilio)[before] == (f"{NUMBERS}/PN1.json", {"SmsUrl": OLD, "SmsMethod": "POST"})
    await tunnel.stop()


def test_a_start_without_a_tunnel_puts_back_what_a_killed_one_left(world: World, tmp_path: Path) -> None:
    """Once; a Twilio that cannot be reached keeps the file for the next start."""
    left_over(world)
    settings = configured(world.twilio, public_url=None)
    plan = Plan((), (), settings)
    answers, world.twilio.answers = world.twilio.answers, {}
    [sentence] = clear_tunnel(world.folder, plan)
    assert "is not put back" in sentence
    world.twilio.answers = answers
    assert clear_tunnel(world.folder, plan) == [f"twilio webhook: texts go to {OLD} again, as before"]
    assert posted(world.twilio)[-1] == (f"{NUMBERS}/PN1.json", {"SmsUrl": OLD, "SmsMethod": "POST"})
    assert clear_tunnel(world.folder, plan) == []
    assert tmp_path == world.folder


def test_the_doctor_reports_what_a_killed_tunnel_left(world: World) -> None:
    """Without its launcher; while that runs, the tunnel is in use."""
    assert left_by_tunnel(world.folder) is None
    left_over(world)
    found = left_by_tunnel(world.folder)
    assert found is not None
    assert "https://dead.example.com: the next start puts them back" in found.text
    (world.folder / ".env").write_text("LLM_SOURCE=demo\n")
    assert any(one.what == "tunnel" for one in examine(world.folder, Selection(frozenset({"llm"})), {}))
    (world.folder / "launcher.json").write_text(json.dumps({"pid": os.getpid(), "outages": {}}))
    assert left_by_tunnel(world.folder) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sms": 1}', '{"sms": {"address": 1, "else": 2}}', '{"fax": {}}'])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    """Nothing is put back that was not noted."""
    (tmp_path / FILE).write_text(content)
    assert TunnelFile(tmp_path).read() == {}


def test_another_process_with_the_id_of_a_killed_program_lives_on(world: World) -> None:
    """Ids are given again: the time of the start tells them apart."""
    noted = left_over(world)
    TunnelFile(world.folder).write({"sms": replace(noted, pid=os.getpid(), started=time.time() - 9999)})
    clear_tunnel(world.folder, Plan((), (), configured(world.twilio, public_url=None)))


def test_shutil_finds_no_program_of_this_machine(tools: Callable[..., Path]) -> None:
    """The tests above see stand-ins alone."""
    tools("ngrok")
    assert shutil.which("cloudflared") is None
