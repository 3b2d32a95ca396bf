"""How many examples a property gets: a multiple of those of the profile, so that `make test-fast` tries few of each."""

from __future__ import annotations

from hypothesis import settings


def examples(times: float) -> settings:
    """Settings of a property with `times` as many examples as the profile in use has."""
    return settings(max_examples=round(times * settings().max_examples))
