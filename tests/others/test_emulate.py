"""A whole conversation with npm's emulate as Twilio: another reading of the same documentation."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx

from relay.channels.sms.connecting import addresses, connect, restore
from relay.core.messages import PartId
from sms_server import create_app
from sms_service import SmsService
from tests.channels.harness import model_reply, running_app
from tests.channels.scripted_server import PATIENCE, ScriptedServer, listening
from tests.databases import sqlite_in
from tests.others.node_programs import Start
from tests.settings import Settings

ACCOUNT, TOKEN = "AC" + "3" * 32, "0123456789abcdef0123456789abcdef"
NUMBER_SID, OURS, ADA = "PN" + "3" * 32, "+15005550006", "+12025550101"


@dataclass
class Conversation:
    """emulate's API and the phone of one person."""

    twilio: httpx.AsyncClient

    async def text(self, body: str) -> int:
        """A person's text, as emulate signs and posts it; the status of our answer."""
        form = {"To": OURS, "From": ADA, "Body": body}
        sent = await self.twilio.post("/_twilio/simulate/inbound-message", data=form)
        assert sent.is_success, sent.text
        return sent.status_code

    async def sent(self) -> list[dict[str, Any]]:
        """What we sent to the person, oldest first."""
        page = (await self.twilio.get(f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json")).json()
        return [one for one in reversed(page["messages"]) if one["direction"] == "outbound-api"]

    async def until(self, count: int) -> list[str]:
        """The bodies once there are that many."""
        end = time.monotonic() + PATIENCE
        while len(found := await self.sent()) < count:
            assert time.monotonic() < end, found
            await anyio.sleep(0.02)  # another process: there is no event to await
        return [one["body"] for one in found]


def seed(folder: Path, webhook: str) -> str:
    number = {"sid": NUMBER_SID, "phone_number": OURS, "sms_url": webhook, "sms_method": "POST"}
    account = {"sid": ACCOUNT, "auth_token": TOKEN, "friendly_name": "Corner Shop"}
    file = folder / "seed.json"
    file.write_text(json.dumps({"twilio": {"account": account, "phone_numbers": [number]}}))
    return str(file)


def settings_with(folder: Path, twilio: str, **changes: Any) -> Settings:
    return Settings(
        twilio_account_sid=ACCOUNT,
        twilio_auth_token=TOKEN,
        twilio_phone_number=OURS,
        twilio_api_base_url=twilio,
        database_url=sqlite_in(folder, "messages.db"),
        sms_part_seconds=0.0,
        sms_segments_per_second=0.0,
        **changes,
    )


@asynccontextmanager
async def conversation(start: Start, folder: Path, answer: str, **changes: Any) -> AsyncIterator[Conversation]:
    """The SMS server between emulate and a scripted model; its number's webhook is set by ourselves."""
    twilio = start("emulate/dist/index.js", "start", "-p", "PORT", "-s", "twilio", "--seed", seed(folder, "http://x"))
    async with listening(ScriptedServer(model_reply(answer))) as model:
        settings = settings_with(folder, twilio, llm_server_url=model.base_url, **changes)
        async with (
            running_app(create_app(settings)) as relay,
            httpx.AsyncClient(base_url=twilio, auth=(ACCOUNT, TOKEN), timeout=PATIENCE) as api,
        ):
            # Without the fragment for Twilio's retries: emulate signs it along, which Twilio does not.
            number = f"/2010-04-01/Accounts/{ACCOUNT}/IncomingPhoneNumbers/{NUMBER_SID}.json"
            (await api.post(number, data={"SmsUrl": f"{relay.base_url}/sms/webhook"})).raise_for_status()
            yield Conversation(api)


async def test_a_conversation_from_the_first_text_to_stop_and_back(start: Start, tmp_path: Path) -> None:
    """Signed webhooks in, answers out: a name is asked for, what was asked waits, STOP silences, START brings back."""
    async with conversation(start, tmp_path, "We are open until six.") as ada:
        await ada.text("When do you close?")
        assert "What is your name?" in (await ada.until(1))[0]
        await ada.text("Ada")
        bodies = await ada.until(3)
        assert "Ada" in bodies[1]
        assert bodies[2] == "We are open until six."
        await ada.text("STOP")
        await ada.text("Are you still there?")
        await ada.text("START")  # which Twilio answers
        await ada.text("And on Sundays?")
        assert (await ada.until(4))[3:] == ["We are open until six."]


async def test_an_answer_of_several_parts_arrives_in_order(start: Start, tmp_path: Path) -> None:
    """Each is numbered, and none comes twice."""
    answer = " ".join(f"Sentence number {number} of a long answer about bread." for number in range(1, 51))
    async with conversation(start, tmp_path, answer, sms_max_segments=40) as ada:
        await ada.text("name=Ada")
        await ada.until(1)
        await ada.text("Tell me about bread")
        parts = (await ada.until(3))[1:]
        assert [part[:5] for part in parts] == ["(1/2)", "(2/2)"]


async def test_what_became_of_a_text_is_read_from_its_api(start: Start, tmp_path: Path) -> None:
    """By the fetch that follows a lost callback; those of emulate are signed over the fragment, and refused."""
    async with conversation(start, tmp_path, "Yes.") as ada:
        await ada.text("name=Ada")
        await ada.until(1)
        [sent] = await ada.sent()
        form = {"MessageSid": sent["sid"], "Status": "delivered"}
        await ada.twilio.post("/_twilio/simulate/message-status", data=form)
        settings = settings_with(tmp_path, str(ada.twilio.base_url).rstrip("/"))
        async with httpx.AsyncClient() as http:
            event = await SmsService(settings, http).fetch_status(PartId("1"), sent["sid"])
        assert event is not None
        assert event.state == "delivered"


async def test_its_number_gets_our_webhook_and_the_old_one_back(start: Start, tmp_path: Path) -> None:
    """What a tunnel does at its start and at its end."""
    old = "https://old.example.com/sms"
    twilio = start("emulate/dist/index.js", "start", "-p", "PORT", "-s", "twilio", "--seed", seed(tmp_path, old))
    settings = settings_with(tmp_path, twilio, public_url="https://ours.example.com")
    before = await addresses(settings)
    await connect(settings)
    [now] = (await addresses(settings)).values()
    assert now["SmsUrl"] == "https://ours.example.com/sms/webhook#rc=3&rp=all"
    await restore(settings, before)
    [now] = (await addresses(settings)).values()
    assert now == {"SmsUrl": old, "SmsMethod": "POST"}
