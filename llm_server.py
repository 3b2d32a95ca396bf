"""The LLM server: POST /api/chat and /v1/chat/completions in front of the configured model providers.

Routes, start, stop, and reload of changed settings. relay.llm.gateway routes the requests, relay.llm.providers speak to
the model APIs. It uses no database.
"""

from __future__ import annotations

import relay.core.bootstrap  # isort: skip  # noqa: F401 (prints what to install when something is missing)

import asyncio
import logging
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from relay.channels.registry import AllSettings
from relay.config.errors import SettingsError
from relay.config.loading import load_or_exit, load_settings
from relay.config.logs import REQUEST_ID, setup_logging
from relay.config.settings import Settings
from relay.core.errors import ModelError
from relay.core.http_client import open_http_client, open_transport
from relay.core.messages import Platform
from relay.knowledge.assistant import Assistant
from relay.knowledge.preview import print_answer, question_of
from relay.llm.chat import ChatRequest, RequestTiming
from relay.llm.client import LlmClient
from relay.llm.gateway.api_format import AnswerSummary, ApiFormat, status_of
from relay.llm.gateway.catalog import open_backends
from relay.llm.gateway.embedding_api import EmbeddingRequest, read_old_ollama, read_ollama, read_openai
from relay.llm.gateway.environment import Environment
from relay.llm.gateway.gateway import Gateway
from relay.llm.gateway.in_flight import AnswersInFlight
from relay.llm.gateway.metrics import LlmMetrics
from relay.llm.gateway.ollama_api import OllamaAnswer, listed, read_chat, read_show, read_stop, shown
from relay.llm.gateway.openai_api import OpenAiAnswer, error_form
from relay.llm.gateway.openai_request import read_completion
from relay.llm.gateway.response import AnswerResponse, OnChunk
from relay.llm.gateway.spend import SpendTracker
from relay.llm.gateway.unoffered import UNOFFERED
from relay.llm.providers.faq import file_version
from relay.web.access import INTERNAL, PUBLIC, is_trusted
from relay.web.app import add_common_routes, add_routes, build_app
from relay.web.errors import ApiError, BodyLimit
from relay.web.plain_routes import PlainRoute
from relay.web.serve import run_server

log = logging.getLogger("relay.llm_server")

OLLAMA_VERSION = "0.12.0"
"""The version of Ollama whose protocol is implemented; clients check it for features."""
_SETTINGS_FILES = ("config.json", ".env")
_SETTINGS_SECONDS = 2.0
_MAX_CONNECTIONS = 2000
_REQUEST_ID = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_LARGE_BODIES = ("/api/chat", "/v1/chat/completions", "/api/embed", "/v1/embeddings")

Reread = Callable[[], Settings]
routes = APIRouter()
asking = APIRouter(route_class=PlainRoute)


def create_app(
    settings: Settings | None = None, *, reread: Reread | None = None, environment: Environment | None = None
) -> FastAPI:
    """The server as an ASGI app; without settings it reads them as the program does, and again when they change.

    reread: reads changed settings; None disables reloading. environment: clocks, sleep, rng and ports to probe.
    """
    if settings is None:
        settings, reread = load_settings(AllSettings), partial(load_settings, AllSettings)
    app = build_app(
        "LLM server",
        settings,
        _lifespan,
        description="Answers in Ollama's and OpenAI's protocols, from OpenRouter, Ollama, an OpenAI-compatible server, "
        "or an honest list of answers.",
        body_limits=dict.fromkeys(_LARGE_BODIES, BodyLimit(settings.llm_max_body_bytes, "llm_max_body_bytes")),
        error_form=error_form,
        allowed_origins=settings.llm_allowed_origins,
    )
    app.state.reread = reread
    app.state.environment = environment or Environment()
    app.state.llm_metrics = LlmMetrics(app.state.metrics)
    add_routes(app, asking, routes)  # in this order, in which they are matched
    for path, (method, remedy) in UNOFFERED.items():
        app.add_api_route(
            path, _not_offered(remedy), methods=[method], dependencies=[INTERNAL], include_in_schema=False
        )

    async def ready(request: Request) -> dict[str, Any]:
        status = await _status(request)
        if status["status"] in {"ok", "degraded"}:
            return {"ready": True, **status}
        known = (status[key] for key in ("problem", "hint") if key in status)
        return {"ready": False, "reason": ": ".join(known) or status["status"], **status}

    add_common_routes(app, ready)
    return app


# -- start and stop ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    app.state.http = open_transport(_MAX_CONNECTIONS)
    app.state.spend = SpendTracker(Path(settings.llm_spending_file), app.state.environment.wall)
    app.state.in_flight = AnswersInFlight()
    app.state.gateway = _new_gateway(app)
    app.state.gateway.start()
    watch = asyncio.create_task(_watch_settings(app)) if app.state.reread else None
    try:
        yield
    finally:
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        await app.state.gateway.stop()
        await app.state.http.aclose()


def _new_gateway(app: FastAPI) -> Gateway:
    settings: Settings = app.state.settings
    environment: Environment = app.state.environment
    found = open_backends(settings, app.state.http, environment)
    return Gateway(settings, found, app.state.spend, app.state.llm_metrics, environment)


def _gateway(app: FastAPI) -> Gateway:
    gateway: Gateway = app.state.gateway
    return gateway


async def _watch_settings(app: FastAPI) -> None:
    """Reload config.json and .env when they change, so that no restart is needed."""
    seen = [file_version(Path(name)) for name in _SETTINGS_FILES]
    while True:
        await asyncio.sleep(_SETTINGS_SECONDS)
        if (found := [file_version(Path(name)) for name in _SETTINGS_FILES]) != seen:
            seen = found
            await take_over(app)


async def take_over(app: FastAPI) -> None:
    """Reload the settings and replace the gateway; invalid settings are logged and the old ones stay in force."""
    before: Settings = app.state.settings
    try:
        settings = app.state.reread()
    except SettingsError as error:
        log.warning("the settings changed and are wrong, the old ones stay in force: %s", error)
        return
    changed = [name for name, value in settings if value != getattr(before, name)]
    if not changed:
        return
    log.info("took over changed settings: %s", ", ".join(changed))
    app.state.settings = settings
    old, new = _gateway(app), _new_gateway(app)
    new.start()
    try:
        await new.first_probe_done()  # the old one answers meanwhile
    except asyncio.CancelledError:
        await new.stop()
        raise
    app.state.gateway = new
    await old.stop()


# -- asking ------------------------------------------------------------------------------------------------------------


@asking.post("/api/chat", dependencies=[INTERNAL], summary="Answer a conversation (Ollama's protocol).")
async def chat(request: Request) -> Response:
    """NDJSON unless `stream` is false. The last line has counts, durations, and in `x_relay` source, model and cost.

    Fields: model ("default" or absent: the configured one), messages, stream, options, format, tools, think,
    keep_alive, and x_relay {channel, name, person}. An empty list of messages loads the model, or unloads it with
    keep_alive 0. Errors: {"error", "kind", "hint", "retry_after"}.
    """
    try:
        chat_request, stream = read_chat(await request.body())
        if not chat_request.messages:
            await _gateway(request.app).load(chat_request)
            loaded = OllamaAnswer(chat_request.model or "default").loaded(chat_request.keep_alive)
            return Response(loaded, media_type="application/json")
    except ModelError as error:
        return _refused(OllamaAnswer(""), error)
    return _answer(request, chat_request, OllamaAnswer(chat_request.model or "default"), stream=stream)


@asking.post("/api/stop", dependencies=[INTERNAL], summary="End an answer where it is, and count what it used.")
async def stop_answer(request: Request) -> Response:
    """Of the answer whose request had this `id` in `x_relay`: `{"stopped": true}`, and its stream ends.

    Its last line has `stopped` in x_relay, and `estimated` where the source has not counted all of it. 404 when no
    model writes it here; leaving the connection ends an answer as well, but nothing of its cost comes back.
    """
    try:
        stopped = request.app.state.in_flight.stop(read_stop(await request.body()))
    except ModelError as error:
        return _refused(OllamaAnswer(""), error)
    return JSONResponse({"stopped": stopped}, 200 if stopped else 404)


@asking.post("/v1/chat/completions", dependencies=[INTERNAL], summary="Answer a conversation (OpenAI's protocol).")
async def completions(request: Request) -> Response:
    """SSE when `stream` is true. `usage.cost` is in USD where it is known; `user` is the key of fair queueing."""
    try:
        chat_request, stream, with_usage = read_completion(await request.body())
    except ModelError as error:
        return _refused(OpenAiAnswer("", with_usage=False), error)
    return _answer(
        request, chat_request, OpenAiAnswer(chat_request.model or "default", with_usage=with_usage), stream=stream
    )


def _refused(api_format: ApiFormat, error: ModelError) -> Response:
    return JSONResponse(api_format.refusal(error), status_of(error))


def _answer(request: Request, chat_request: ChatRequest, api_format: ApiFormat, *, stream: bool) -> Response:
    gateway = _gateway(request.app)
    settings: Settings = request.app.state.settings
    in_flight: AnswersInFlight = request.app.state.in_flight

    request_id = _request_id(chat_request.request_id or request.headers.get("x-request-id", ""))
    REQUEST_ID.set(request_id)

    async def ask(on_chunk: OnChunk, timing: RequestTiming) -> AnswerSummary:
        with in_flight.registered(chat_request.id, timing):
            return await gateway.ask(chat_request, on_chunk, timing)

    keepalive = settings.llm_keepalive_seconds
    return AnswerResponse(ask, api_format, stream=stream, keepalive_seconds=keepalive, request_id=request_id)


def _request_id(given: str) -> str:
    """The caller's id of a request, or one of ours; others than plain words could forge lines of the log."""
    return given if _REQUEST_ID.fullmatch(given) else f"llm-{uuid.uuid4().hex[:12]}"


# -- embeddings --------------------------------------------------------------------------------------------------------


@routes.post("/v1/embeddings", dependencies=[INTERNAL], summary="The vectors of texts (OpenAI's protocol).")
async def embeddings(request: Request) -> Response:
    """Fields: model ("default" or absent: `embedding_model`), input, dimensions, encoding_format."""
    return await _embedded(request, read_openai, OpenAiAnswer("", with_usage=False))


@routes.post("/api/embed", dependencies=[INTERNAL], summary="The vectors of texts (Ollama's protocol).")
async def embed(request: Request) -> Response:
    """Fields: model ("default" or absent: `embedding_model`), input, truncate, dimensions."""
    return await _embedded(request, read_ollama, OllamaAnswer(""))


@routes.post("/api/embeddings", dependencies=[INTERNAL], summary="The vector of a text (Ollama's older protocol).")
async def old_embeddings(request: Request) -> Response:
    """Fields: model, prompt."""
    return await _embedded(request, read_old_ollama, OllamaAnswer(""))


async def _embedded(request: Request, read: Callable[[bytes], EmbeddingRequest], api_format: ApiFormat) -> Response:
    try:
        wanted = read(await request.body())
        REQUEST_ID.set(_request_id(wanted.request_id or request.headers.get("x-request-id", "")))
        found = await _gateway(request.app).embed(wanted.model, wanted.texts, wanted.options)
        response = Response(orjson.dumps(wanted.encoded(found)), media_type="application/json")
    except ModelError as error:
        response = _refused(api_format, error)
    if request_id := REQUEST_ID.get():
        response.headers["X-Request-Id"] = request_id
    return response


# -- what it is --------------------------------------------------------------------------------------------------------


@routes.head("/", dependencies=[PUBLIC], include_in_schema=False)
@routes.get("/", dependencies=[PUBLIC], summary="State of the server and its sources.")
async def home(request: Request) -> dict[str, Any]:
    """`status` is ok, degraded (a fallback answers), unavailable or starting. Uses no tokens.

    Messages of errors are shown to our servers and to the operator only, because providers quote what users write.
    """
    settings: Settings = request.app.state.settings
    return {"server": "LLM server", **await _status(request), "simulated": settings.simulated}


async def _status(request: Request) -> dict[str, Any]:
    return await _gateway(request.app).status(with_messages=await is_trusted(request))


@routes.get("/api/version", dependencies=[INTERNAL], summary="The implemented version of Ollama's protocol.")
async def version() -> dict[str, str]:
    return {"version": OLLAMA_VERSION}


@routes.get("/api/tags", dependencies=[INTERNAL], summary="The models that can be asked for (Ollama's protocol).")
async def tags(request: Request) -> dict[str, Any]:
    models = await _gateway(request.app).models()
    return {"models": [listed(name, facts) for name, facts in models.items()]}


@routes.get("/api/ps", dependencies=[INTERNAL], summary="The model that answers by default (Ollama's protocol).")
async def running(request: Request) -> dict[str, Any]:
    models = await _gateway(request.app).models()
    return {"models": [listed("default", models["default"])]}


@routes.post("/api/show", dependencies=[INTERNAL], summary="What one model can do (Ollama's protocol).")
async def show(request: Request) -> Response:
    try:
        name = read_show(await request.body())
        facts = await _gateway(request.app).model(name)
    except ModelError as error:
        return _refused(OllamaAnswer(""), error)
    return JSONResponse(shown(facts))


@routes.get("/v1/models", dependencies=[INTERNAL], summary="The models that can be asked for (OpenAI's protocol).")
async def models(request: Request) -> dict[str, Any]:
    names = await _gateway(request.app).models()
    return {"object": "list", "data": [_model_row(name) for name in names]}


@routes.get("/v1/models/{name:path}", dependencies=[INTERNAL], summary="One model (OpenAI's protocol).")
async def model(request: Request, name: str) -> Response:
    try:
        await _gateway(request.app).model(name)
    except ModelError as error:
        return _refused(OpenAiAnswer("", with_usage=False), error)
    return JSONResponse(_model_row(name))


def _not_offered(remedy: str) -> Callable[[Request], Awaitable[None]]:
    async def refuse(request: Request) -> None:
        raise ApiError(501, f"{request.url.path} is not offered by the relay's LLM server", remedy)

    return refuse


def _model_row(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "relay"}


def _reread() -> Settings:
    """Load changed settings and set the logs up again, so that a new key is redacted."""
    settings = load_settings(AllSettings)
    setup_logging(settings, "llm_server")
    return settings


async def _ask(settings: Settings, question: str) -> bool:
    async with open_http_client() as http:
        model = LlmClient(http, settings)

        async def ask(messages: Sequence[Mapping[str, str]]) -> str:
            return (await model.ask(messages, platform=Platform("llm"), user="operator", name=None)).text

        return await print_answer(Assistant(settings, Platform("llm")), question, ask, model.embed)


def main() -> None:
    """Run the server until a signal; with `--ask QUESTION`, ask a running one from the documents of the business."""
    question = question_of("--ask", "show the documents found for a question and the answer of the running server")
    if question is not None:
        raise SystemExit(0 if asyncio.run(_ask(load_or_exit(AllSettings), question)) else 1)
    create = partial(create_app, reread=_reread)
    run_server("llm_server", AllSettings, create, lambda settings: settings.llm_server_port)


if __name__ == "__main__":
    main()
