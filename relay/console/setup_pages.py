"""The pages of the set-up: one for each step, what its check found, a test question, and a webhook set by a click."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Form, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from relay.channels.registry import BY_PLATFORM, KnownPlatform
from relay.config.checks import Finding, Severity
from relay.config.errors import SettingsError
from relay.config.settings import Settings
from relay.console.login import log_in
from relay.console.pages import HEADERS, Pages
from relay.console.services import Here
from relay.console.setup import STEPS, SetupFiles, Step, Submission, connected, secrets_of, shown_value, step_after
from relay.console.trial import ask_as_channel
from relay.core.errors import SendError
from relay.storage.operators_database import OperatorsDatabase
from relay.web.access import ADMIN, PUBLIC
from relay.web.errors import ApiError

INSTANCE = secrets.token_hex(8)
"""Changes with every start of this process, so that a page can await a restart."""

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class SetupPages:
    """The services of these routes, at `app.state.setup`."""

    settings: Settings
    pages: Pages
    http: httpx.AsyncClient
    database: OperatorsDatabase
    held: dict[str, str] = field(default_factory=dict)
    """Secrets that a provider accepted, by setting, until the rest of their step is entered; no page shows them."""

    @property
    def files(self) -> SetupFiles:
        return SetupFiles(Path.cwd(), os.environ)

    def show(self, step: Step, outcome: Submission | None = None, **values: Any) -> Response:
        settings, trouble = self.files.current_or_defaults()
        outcome = outcome or Submission((), {})
        shown = {entry.key: shown_value(settings, entry.key) for entry in step.entries} | values.pop("entered", {})
        context: dict[str, Any] = {
            "steps": STEPS,
            "step": step,
            "next": step_after(step),
            "done": {name: one.is_done(settings) for name, one in STEPS.items()},
            "shown": shown,
            "fixed": {entry.key for entry in step.entries if self.files.is_fixed(entry.key)},
            "has": {entry.key for entry in step.entries if getattr(settings, entry.key) or entry.key in self.held},
            "outcome": outcome,
            "trouble": trouble,
            "facts": self.files.read_facts(settings),
            "documents": self.files.documents(settings),
            "channels": connected(settings),
            "proposal": secrets.token_urlsafe(24),
            "instance": INSTANCE,
            "question": "",
            "trial": None,
            **values,
        }
        refused = any(finding.severity is Severity.PROBLEM for finding in outcome.findings)
        return self.pages.show("setup.html", status=422 if refused else 200, **context)

    async def submit(self, step: Step, form: dict[str, str]) -> Submission:
        """Check and save a form; a secret that was entered just before counts when its field is left empty."""
        for key in secrets_of(step):
            form[key] = form.get(key, "").strip() or self.held.get(key, "")
        outcome = await self.files.submit(step, form)
        if outcome.offered:
            self.held.update({key: form[key] for key in secrets_of(step) if form[key]})
        elif outcome.saved:
            self.held.clear()
        return outcome


def _setup(request: Request) -> SetupPages:
    found: SetupPages = request.app.state.setup
    return found


def _step(name: str) -> Step:
    if name not in STEPS:
        raise ApiError(404, "the set-up has no such step", f"it has {', '.join(STEPS)}")
    return STEPS[name]


@routes.get("/setup", dependencies=[ADMIN], summary="The first step of the set-up that is not done.")
async def first_open_step(request: Request) -> Response:
    settings, _ = _setup(request).files.current_or_defaults()
    name = next((name for name, step in STEPS.items() if not step.is_done(settings)), next(iter(STEPS)))
    return RedirectResponse(f"/setup/{name}", 303, headers=HEADERS)


@routes.get("/setup/instance", dependencies=[PUBLIC], summary="Changes with every start of the console.")
async def instance() -> Response:
    return PlainTextResponse(INSTANCE, headers={"Cache-Control": "no-store"})


@routes.get("/setup/{name}", dependencies=[ADMIN], summary="One step of the set-up.")
async def step_page(request: Request, name: str) -> Response:
    return _setup(request).show(_step(name))


@routes.post("/setup/{name}", dependencies=[ADMIN], summary="Check what was entered, write it into .env, apply it.")
async def submit(request: Request, console: Here, name: str) -> Response:
    setup, step = _setup(request), _step(name)
    form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    outcome = await setup.submit(step, form)
    visible = {entry.key: form.get(entry.key, "") for entry in step.entries if entry.kind != "secret"}
    entered = {} if outcome.saved else visible
    response = setup.show(step, outcome, entered=entered)
    if outcome.saved:
        await console.database.record_action(console.operator(request), "set up", None, None, step.title)
        if step.name == "password" and form.get("admin_token", "").strip():
            await log_in(request, response, setup.database, form["admin_token"].strip())
    return response


@routes.post("/setup-test", dependencies=[ADMIN], summary="Ask a test question with the prompt as it is sent.")
async def ask(
    request: Request, question: Annotated[str, Form(max_length=2000)], platform: Annotated[KnownPlatform, Form()]
) -> Response:
    setup = _setup(request)
    trial = await ask_as_channel(setup.http, setup.settings, BY_PLATFORM[platform], question)
    return setup.show(STEPS["assistant"], question=question, trial=trial)


@routes.post("/setup-connect", dependencies=[ADMIN], summary="Have a provider send what comes in to public_url.")
async def connect(request: Request, platform: Annotated[KnownPlatform, Form()]) -> Response:
    setup, step, channel = _setup(request), STEPS["address"], BY_PLATFORM[platform]
    if channel.setup is None or channel.setup.connect is None:
        raise ApiError(422, f"nothing is to be set at the provider of {channel.title}")
    try:
        settings = setup.files.current()
        if settings.public_url is None:
            raise ApiError(422, "public_url is not set", "enter it in the set-up first")
        findings = await channel.setup.connect(settings)
    except SettingsError as error:
        findings = [Finding(Severity.PROBLEM, channel.title, str(error))]
    except SendError as error:
        findings = [Finding(Severity.PROBLEM, channel.title, f"{error.message} ({error.code})")]
    return setup.show(step, Submission(findings, {}))
