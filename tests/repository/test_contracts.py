"""Every channel of the registry is tested against the contract of all channels, with every row of it."""

from __future__ import annotations

from relay.channels.registry import PLATFORMS
from tests.channels.contract import PAYLOAD_ROWS, REFUSAL_ROWS, STATUS_ROWS, ChannelContract, Row
from tests.channels.test_contract import CONTRACTS, TESTED


def test_every_channel_has_a_contract() -> None:
    """`tests/channels/<folder>/contract.py`, for its own ChannelSpec."""
    assert tuple(contract.channel.platform for contract in CONTRACTS) == PLATFORMS


def test_every_channel_supplies_every_row() -> None:
    """A payload, an answer of its provider, its status callback; or the reason why its provider has none."""
    for contract in CONTRACTS:
        payloads, missing = contract.payloads.keys(), contract.not_applicable
        reports = type(contract).status_callback is not ChannelContract.status_callback
        assert contract.refusals.keys() == REFUSAL_ROWS
        assert missing.keys() == (PAYLOAD_ROWS - payloads) | (set() if reports else STATUS_ROWS), contract
        assert all(len(reason.split()) >= 5 for reason in missing.values()), contract


def test_no_channel_lacks_what_all_have() -> None:
    """Text, what cannot be parsed and what is too long come in everywhere."""
    for contract in CONTRACTS:
        assert {Row.TEXT, Row.GARBAGE, Row.TOO_LONG} <= contract.payloads.keys(), contract


def test_every_row_is_tested() -> None:
    """No row is supplied by the channels and run by no test."""
    assert set(Row) == TESTED
