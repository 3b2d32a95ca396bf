"""The pages of the login: the admin token is traded for a cookie, and the cookie is ended."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from relay.console.login import log_in, log_out, own_path
from relay.console.pages import HEADERS
from relay.console.services import ConsoleServices, Here
from relay.web.access import ADMIN, PUBLIC, origin_is_ours
from relay.web.errors import ApiError

routes = APIRouter()


@routes.get("/login", dependencies=[PUBLIC], summary="Ask for the admin token.")
async def login_page(console: Here, next: str = "/") -> Response:  # noqa: A002 (the name in the URL)
    if console.guard is None:
        return _redirect("/")
    return console.pages.show("login.html", next=own_path(next), problem="")


@routes.post("/login", dependencies=[PUBLIC], summary="Trade the admin token for a cookie.")
async def login(
    request: Request,
    console: Here,
    token: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002
) -> Response:
    token_wanted = console.settings.admin_token
    if console.guard is None or token_wanted is None:
        return _redirect("/")
    if not origin_is_ours(request):  # or any web page could keep the guard locked
        raise ApiError(403, "this form was sent from another site", "open the console itself and sign in there")
    if wait := console.guard.locked_for():
        return _locked(console, wait, own_path(next))
    if not console.guard.check(token.strip()):
        return console.pages.show("login.html", status=403, next=own_path(next), problem="That is not the admin token.")
    response = _redirect(own_path(next))
    await log_in(request, response, console.database, token_wanted.get_secret_value())
    return response


def _locked(console: ConsoleServices, wait: float, path: str) -> Response:
    seconds = int(wait) + 1
    problem = f"Too many wrong tokens. Try again in {seconds} s."
    response = console.pages.show("login.html", status=429, next=path, problem=problem)
    response.headers["Retry-After"] = str(seconds)
    return response


@routes.post("/logout", dependencies=[ADMIN], summary="End the login, for every server.")
async def logout(request: Request, console: Here) -> Response:
    response = _redirect("/login")
    if console.settings.admin_token is not None:
        await log_out(request, response, console.database, console.settings.admin_token.get_secret_value())
    return response


def _redirect(path: str) -> Response:
    """Redirect with 303, so that reloading the page repeats no action."""
    return RedirectResponse(path, 303, headers=HEADERS)
