"""What the routes about one person share: the address in a query or a form, and the redirect after an act."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Form, Query
from fastapi.responses import RedirectResponse, Response

from relay.channels.registry import KnownPlatform
from relay.console.pages import HEADERS, person_url
from relay.console.person import Address
from relay.core.messages import UserId, db_safe
from relay.web.errors import ApiError


async def _in_query(
    platform: KnownPlatform,
    id: Annotated[str, Query(min_length=1, max_length=200)],  # noqa: A002 (the name in the URL)
) -> Address:
    return Address(platform, UserId(db_safe(id)))


async def _in_form(
    platform: Annotated[KnownPlatform, Form()],
    id: Annotated[str, Form(min_length=1, max_length=200)],  # noqa: A002 (as above)
) -> Address:
    return Address(platform, UserId(db_safe(id)))


InQuery = Annotated[Address, Depends(_in_query)]
InForm = Annotated[Address, Depends(_in_form)]


def unknown_person() -> ApiError:
    return ApiError(404, "nobody is known under this address", "go back to the first page and search")


def redirect(path: str) -> Response:
    """Redirect with 303, so that reloading the page repeats no action."""
    return RedirectResponse(path, 303, headers=HEADERS)


def to_person(address: Address, done: str, anchor: str = "") -> Response:
    """Redirect to a person's page, which shows what was done."""
    return redirect(person_url(address.platform, address.user_id, done=done) + anchor)
