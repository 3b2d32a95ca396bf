"""Files of a provider: from its own hosts alone, with credentials for the first request only, within a size."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from relay.channels.sms.media import MediaStore
from relay.core.download import MAX_REDIRECTS, download
from relay.core.errors import AttachmentError, AttachmentFailure
from relay.core.messages import Attachment
from tests.settings import Settings

SID, AUTH_TOKEN = "0" * 32, "5" * 32
PATH = f"/2010-04-01/Accounts/AC{SID}/Messages/MM{SID}/Media/ME{SID}"
API = "https://api.twilio.com"
Handler = Callable[[httpx.Request], httpx.Response]


def found(content: bytes) -> httpx.Response:
    """A response that is read as it arrives."""
    return httpx.Response(200, stream=httpx.ByteStream(content))


async def fetched(handler: Handler, reference: str = PATH, *, base: str = API, most: int = 1000) -> bytes:
    """The content that the SMS channel gets of a medium, from a network that `handler` plays."""
    content = bytearray()
    account: dict[str, Any] = {
        "twilio_account_sid": f"AC{SID}",
        "twilio_auth_token": SecretStr(AUTH_TOKEN),
        "twilio_phone_number": "+12025550100",
    }
    settings = Settings(twilio_api_base_url=base, **account)
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        await MediaStore(http, settings).download(Attachment("image/jpeg", reference), content.extend, most)
    return bytes(content)


async def failure(handler: Handler, **how: object) -> AttachmentFailure:
    """Why it gets none."""
    with pytest.raises(AttachmentError) as raised:
        await fetched(handler, **how)  # type: ignore[arg-type]
    return raised.value.kind


def redirecting(target: str) -> tuple[Handler, list[httpx.Request]]:
    """Twilio, which redirects to `target`; and the requests that were made."""
    made: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        made.append(request)
        return httpx.Response(307, headers={"location": target}) if len(made) == 1 else found(b"jpeg")

    return answer, made


@pytest.mark.parametrize(
    "store",
    [
        "https://mms.twiliocdn.com/AC1/file?Expires=1&Signature=x",
        "https://media.twiliocdn.com/AC1/file",
        "https://s3-external-1.amazonaws.com/media.twiliocdn.com/AC1/file",
        f"{API}/elsewhere",
        "/media.twiliocdn.com/file",
    ],
)
async def test_the_store_of_the_provider_gets_no_credentials(store: str) -> None:
    """They go to the API, and S3 refuses a request that has them."""
    network, made = redirecting(store)
    assert await fetched(network) == b"jpeg"
    assert made[0].headers["authorization"].startswith("Basic ")
    assert "authorization" not in made[1].headers
    assert AUTH_TOKEN not in str(made[1].url)
    assert made[1].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:8033/api/tags",
        "http://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/",
        "https://[::1]/",
        "http://mms.twiliocdn.com/file",
        "https://mms.twiliocdn.com.evil.example/file",
        "https://evil.example/mms.twiliocdn.com",
        "https://mms.twiliocdn.com@evil.example/",
        "https://evil@mms.twiliocdn.com/",
        "https://mms.twiliocdn.com:8443/",
        "https://evil.s3.amazonaws.com/media.twiliocdn.com/",
        "https://s3.amazonaws.com/evil/file",
        "http://api.twilio.com/",
        "file:///etc/passwd",
        "//127.0.0.1/",
    ],
)
async def test_a_redirect_elsewhere_is_not_followed(target: str) -> None:
    """Neither into the own network, nor to a host that only looks like the provider's."""
    network, made = redirecting(target)
    assert await failure(network) is AttachmentFailure.GONE
    assert len(made) == 1


class OneRedirect:
    """A client that does not look at the target of a redirect, as ours for requests without credentials."""

    def __init__(self, target: str) -> None:
        self._response = httpx.Response(302, headers={"location": target})

    @asynccontextmanager
    async def stream(self, *_: object, **__: object) -> AsyncIterator[httpx.Response]:
        yield self._response


@pytest.mark.parametrize("target", ["https://[::1", "http://[x]/", "//["])
async def test_a_redirect_to_what_is_no_url_is_no_file(target: str) -> None:
    """It cannot be split into its parts."""
    http: Any = OneRedirect(target)
    with pytest.raises(AttachmentError) as raised:
        await download(http, f"{API}/file", print, max_bytes=1000, may_follow=lambda _: True)
    assert raised.value.kind is AttachmentFailure.GONE


@pytest.mark.parametrize("status", [300, 301, 304, 307])
async def test_a_redirect_without_a_target_is_no_file(status: int) -> None:
    """It is an answer like 404, and not an error of ours."""
    assert await failure(lambda _: httpx.Response(status)) is AttachmentFailure.GONE


@pytest.mark.parametrize(
    "reference",
    ["", "/", f"{PATH}/../../x", f"{PATH}.json", "/api/tags", PATH.replace("ME", "XX"), f"//evil.example{PATH}"],
)
async def test_a_reference_of_another_form_is_not_asked_for(reference: str) -> None:
    """The webhook names a path below the API; nothing else of its URL is used."""
    assert await failure(lambda _: found(b"x"), reference=reference) is AttachmentFailure.GONE


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (httpx.Response(404), AttachmentFailure.GONE),
        (httpx.Response(401), AttachmentFailure.GONE),
        (httpx.Response(429), AttachmentFailure.UNAVAILABLE),
        (httpx.Response(503), AttachmentFailure.UNAVAILABLE),
        (httpx.Response(200, headers={"content-length": "1001"}, content=b""), AttachmentFailure.TOO_LARGE),
    ],
)
async def test_what_is_not_there_is_told_from_what_may_come_later(answer: httpx.Response, why: str) -> None:
    """By the status, and by the size that is announced, before anything is read."""
    assert await failure(lambda _: answer) is why


async def test_a_connection_that_fails_is_tried_later() -> None:
    """The error names no address."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    assert await failure(refuse) is AttachmentFailure.UNAVAILABLE


async def test_redirects_end() -> None:
    """Also within the provider's own hosts."""
    made: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        made.append(request)
        return httpx.Response(302, headers={"location": str(request.url)})

    assert await failure(answer) is AttachmentFailure.GONE
    assert len(made) == MAX_REDIRECTS + 1


async def test_the_writer_ends_a_download_that_becomes_too_large() -> None:
    """A server that announces no size cannot fill the disk."""
    taken = bytearray()

    def write(chunk: bytes) -> None:
        taken.extend(chunk)
        if len(taken) > 10:
            raise AttachmentError(AttachmentFailure.TOO_LARGE)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"12345"

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    async with httpx.AsyncClient(transport=transport) as http:
        with pytest.raises(AttachmentError, match="too large"):
            await download(http, API, write, max_bytes=10)
    assert len(taken) == 15
