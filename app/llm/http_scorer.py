"""A user's own scorer over HTTP, asked as a model is: a text goes out, a text comes back."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from pydantic import SecretStr
from typing_extensions import override

from app.llm.connections import open_plain_transport
from app.llm.errors import Origin, retry_after, transport_errors
from app.version import VERSION
from optimizer.errors import (
    BackendUnavailableError,
    MisconfiguredError,
    ModelError,
    RateLimitedError,
)
from optimizer.protocols import ChatModel
from optimizer.types import Completion, CompletionRequest, CompletionResult, Usage
from rewards.external import ANSWERED

BACKEND = "scorer"
_NO_SUCH_SERVICE = frozenset({401, 403, 404, 405, 407, 410, 501})
_TRY_AGAIN = frozenset({408, 409, 425, 429})
_SAID = 300


def scorer_name(url: str) -> str:
    """What provenance and the call ledger call the scorer at ``url``."""
    return f"{BACKEND}/{url}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ScorerPlace:
    """Where a scorer is and how it is called.

    Attributes:
        url: where to POST; its host was found to be allowed.
        headers: sent with each request, beside the usual ones; secret.
        timeout_seconds: for a whole request.
        max_response_bytes: a longer reply is no score.
    """

    url: str
    headers: Mapping[str, SecretStr]
    timeout_seconds: float
    max_response_bytes: int


class HttpScorerModel(ChatModel):
    """POSTs the prompt of a request, a JSON text, and gives the reply's body as the completion.

    ``finish_reason`` is ``ANSWERED`` where the body is meant to be a score. Where the service refuses this
    one request (4xx), or says too much, it says so, and that is an answer too: on record like any other.
    Redirects are not followed, and nothing is taken from the environment.
    """

    def __init__(self, place: ScorerPlace, *, clock: Callable[[], float]) -> None:
        """A scorer at ``place``; ``clock`` gives monotonic seconds. Close it with ``aclose``."""
        self._place = place
        self._clock = clock
        self._url = httpx.URL(place.url)
        self._transport = open_plain_transport()
        self._origin = Origin(
            backend=BACKEND, model=place.url, setting="rewards.http",
            address="rewards.http.url", timeout="rewards.http.timeout_seconds",
        )  # fmt: skip

    @property
    @override
    def name(self) -> str:
        return scorer_name(self._place.url)

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        if not isinstance(request.prompt, str):
            raise TypeError("a scorer is sent a text")
        started = self._clock()
        with transport_errors(self._origin):
            async with asyncio.timeout(self._place.timeout_seconds):
                response = await self._send(request.prompt.encode())
                try:
                    body = await self._read(response)
                finally:
                    await response.aclose()
        error = _error(response)
        if error is not None:
            raise error
        return CompletionResult(
            completions=(self._completion(response, body),),
            usage=Usage(),
            model=self._place.url,
            seconds=self._clock() - started,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _send(self, content: bytes) -> httpx.Response:
        headers = {
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": f"drpo/{VERSION}",
            **{name.lower(): value.get_secret_value() for name, value in self._place.headers.items()},
            "content-type": "application/json",
        }
        timeout = httpx.Timeout(self._place.timeout_seconds, pool=None).as_dict()
        return await self._transport.handle_async_request(
            httpx.Request(
                "POST", self._url, headers=headers, content=content, extensions={"timeout": timeout}
            )
        )

    async def _read(self, response: httpx.Response) -> bytes | None:
        """The body, or None where it is longer than it may be."""
        pieces: list[bytes] = []
        length = 0
        async for piece in response.aiter_bytes():
            length += len(piece)
            if length > self._place.max_response_bytes:
                return None
            pieces.append(piece)
        return b"".join(pieces)

    def _completion(self, response: httpx.Response, body: bytes | None) -> Completion:
        if body is None:
            reason = f"it replied with more than {self._place.max_response_bytes} bytes"
            return Completion(text="", finish_reason=reason)
        text = body.decode("utf-8", "replace")
        if not response.is_success:
            return Completion(text=text[:_SAID], finish_reason=f"it answered {response.status_code}")
        return Completion(text=text, finish_reason=ANSWERED)


def _error(response: httpx.Response) -> ModelError | None:
    """What a status means that is no answer to this request."""
    status = response.status_code
    said = f"the scorer answered {status}"
    if response.is_redirect or status in _NO_SUCH_SERVICE or status < httpx.codes.OK:
        hint = "check rewards.http.url and rewards.http.headers (redirects are not followed)"
        return MisconfiguredError(f"{said}: {hint}", backend=BACKEND, status=status)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _TRY_AGAIN:
        patience = retry_after(response.headers, now=datetime.now(UTC))
        if status == httpx.codes.TOO_MANY_REQUESTS or patience is not None:
            return RateLimitedError(said, backend=BACKEND, status=status, retry_after=patience)
        return BackendUnavailableError(said, backend=BACKEND, status=status)
    return None
