"""A lease that one server at a time can have: taken, prolonged, ended by itself, given back."""

from __future__ import annotations

import asyncio

import pytest

from messaging_database import MessagingDatabase, open_database
from relay.channels.sms.spec import SMS
from relay.channels.telegram.spec import TELEGRAM
from tests.settings import Settings
from tests.storage.fixtures import PAST_LEASE, Opener

ONE, TWO = "sms@one", "sms@two"


@pytest.fixture
async def pair(database_url: str, opener: Opener) -> tuple[MessagingDatabase, MessagingDatabase]:
    """The same database, opened by two servers."""
    return await opener(database_url, owner=ONE), await opener(database_url, owner=TWO)


async def test_only_one_of_two_servers_holds_it(pair: tuple[MessagingDatabase, MessagingDatabase]) -> None:
    """The other is told who; the holder may prolong it as often as it wants."""
    one, two = pair
    assert await one.hold_lease(SMS, "x", 15) == ONE
    assert await two.hold_lease(SMS, "x", 15) == ONE
    assert await one.hold_lease(SMS, "x", 15) == ONE


async def test_of_many_who_ask_at_once_all_hear_the_same_name(database_url: str, opener: Opener) -> None:
    """Also when there was no such lease before."""
    servers = [await opener(database_url, owner=f"sms@{number}") for number in range(4)]
    holders = await asyncio.gather(*(server.hold_lease(SMS, "x", 15) for server in servers * 3))
    assert len(set(holders)) == 1


async def test_after_its_end_it_is_anybodys(pair: tuple[MessagingDatabase, MessagingDatabase]) -> None:
    """A dead holder is replaced; should it live after all, it learns that it was."""
    one, two = pair
    assert await one.hold_lease(SMS, "x", PAST_LEASE) == ONE
    assert await two.hold_lease(SMS, "x", 15) == TWO
    assert await one.hold_lease(SMS, "x", 15) == TWO


async def test_given_back_it_is_free_at_once(pair: tuple[MessagingDatabase, MessagingDatabase]) -> None:
    """Only by its holder: a release by another owner leaves it with the holder."""
    one, two = pair
    await one.hold_lease(SMS, "x", 15)
    await two.release_lease(SMS, "x")
    assert await two.hold_lease(SMS, "x", 15) == ONE
    await one.release_lease(SMS, "x")
    assert await two.hold_lease(SMS, "x", 15) == TWO


async def test_a_restarted_server_has_its_own_lease_at_once(database_url: str, opener: Opener) -> None:
    """Its name is the same, so it need not wait for the end of what its earlier life held."""
    before = await opener(database_url, owner=ONE)
    await before.hold_lease(SMS, "x", 600)
    after = await opener(database_url, owner=ONE)
    assert await after.hold_lease(SMS, "x", 15) == ONE


async def test_leases_of_other_names_and_platforms_are_others(
    pair: tuple[MessagingDatabase, MessagingDatabase],
) -> None:
    """Each can be held by another owner."""
    one, two = pair
    await one.hold_lease(SMS, "x", 15)
    assert await two.hold_lease(SMS, "y", 15) == TWO
    assert await two.hold_lease(TELEGRAM, "x", 15) == TWO


async def test_two_servers_of_a_kind_on_one_machine_are_two_owners(sqlite_url: str) -> None:
    """Else each would take the work of the other for its own earlier life's."""
    names = []
    for port in (8041, 8051):
        settings = Settings(database_url=sqlite_url, telegram_server_port=port, instance_name="shop")
        database = open_database(settings, "telegram_server")
        names.append(database.owner)
        await database.stop()
    assert names == ["telegram_server@shop:8041", "telegram_server@shop:8051"]
