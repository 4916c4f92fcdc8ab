"""From what HTTP says to the optimizer's error tree.

No message ever holds a key: what a backend says about a refused key is not repeated, and the key itself is
blotted out of everything else it says.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import httpx
import orjson
from aiohttp.http_exceptions import ContentEncodingError
from pydantic import SecretStr

from app.llm.refusals import advice_on
from optimizer.errors import (
    BackendUnavailableError,
    MalformedResponseError,
    MisconfiguredError,
    ModelError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRefusedError,
)
from optimizer.quoting import quote_inline
from optimizer.types import JsonObject, JsonValue

_SAID_LIMIT = 300
_TRANSPORT_ERRORS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, aiohttp.ClientError, OSError)
_MODERATION_WORDS = ("moderation", "flagged", "content_filter", "content_policy")
_TRY_AGAIN = frozenset({408, 409, 425})
_OVERLOADED = 529
_BUSY = "busy"
"""What vLLM says in a 503 where its queue is full (``--max-num-queued-reqs``), and not where it is broken."""


class NeverSentError(BackendUnavailableError):
    """No connection could be made, so that the request has reached nobody and costs nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Whom a request goes to, for messages.

    Attributes:
        backend: the backend's configured name.
        model: the model's name there.
        setting: the settings that chose both, such as ``roles.judge``.
        key: what must not show in any message.
        address: the setting that says where it is, and timeout: the one that says how long it may take;
            None for those of a backend.
    """

    backend: str
    model: str
    setting: str
    key: SecretStr | None = None
    address: str | None = None
    timeout: str | None = None


class transport_errors:  # noqa: N801 - stands where a function would
    """Turns what the HTTP client raises inside into ModelErrors.

    Raises:
        NeverSentError: no connection.
        BackendUnavailableError: the connection broke, or time ran out.
        MalformedResponseError: what came back is not HTTP.
    """

    __slots__ = ("_origin",)

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Raise what an error inside means."""
        if isinstance(exc, _TRANSPORT_ERRORS):
            raise _lost(exc, self._origin) from exc


def _lost(error: Exception, origin: Origin) -> ModelError:
    """What ``error`` means, in our words: those of a library name addresses, and tell a caller nothing."""
    backend = origin.backend
    if _never_sent(error):
        address = origin.address or f"backends.{backend}.base_url"
        message = f"backend {backend} cannot be reached (is {address} right?): {_no_connection(error)}"
        return NeverSentError(message, backend=backend)
    if _not_http(error):
        return MalformedResponseError(f"backend {backend} sent what is not HTTP", backend=backend)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        setting = origin.timeout or f"backends.{backend}.timeouts"
        reason = f"gave no answer in time ({setting})"
    else:
        reason = "closed the connection before its answer was complete"
    return BackendUnavailableError(f"backend {backend} {reason}", backend=backend)


def error_for_status(
    origin: Origin, status: int, headers: Mapping[str, str], body: bytes, *, now: datetime | None = None
) -> ModelError:
    """The error that a response with a status other than 2xx stands for.

    Args:
        origin: who was asked.
        status: HTTP status.
        headers: with lower-case or case-insensitive names.
        body: OpenAI's error envelope, a flat one, or any text.
        now: the time that a Retry-After date is compared with; by default the clock's.
    """
    said = _Said.read(body, origin)
    patience = retry_after(headers, now=now or datetime.now(UTC))
    error = _misconfigured(origin, status, said)
    if error is not None:
        return error
    message = f"backend {origin.backend} answered {status}: {said.text}"
    if status in {httpx.codes.TOO_MANY_REQUESTS, _OVERLOADED} or _is_busy(status, said):
        return RateLimitedError(message, backend=origin.backend, status=status, retry_after=patience)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR and patience is not None:
        return RateLimitedError(message, backend=origin.backend, status=status, retry_after=patience)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _TRY_AGAIN:
        return BackendUnavailableError(message, backend=origin.backend, status=status)
    advice = advice_on(f"{said.text} {said.code}")
    if advice is not None:
        message = f"{message}. {advice[0].upper()}{advice[1:]}"
    return RequestRefusedError(message, backend=origin.backend, status=status)


def error_in_body(origin: Origin, body: JsonValue, status: int, *, content: bytes) -> ModelError | None:
    """The error that a 2xx body carries instead of an answer, as some gateways do, or None.

    ``content`` are the bytes that ``body`` was read from: what can be read need not be writable again.
    """
    if not isinstance(body, dict) or not body.get("error"):
        return None
    error = body["error"]
    code = error.get("code") if isinstance(error, dict) else None
    told = int(code) if isinstance(code, int | str) and str(code).isdecimal() else 0
    if not httpx.codes.BAD_REQUEST <= told < 600:  # noqa: PLR2004 - the end of HTTP's statuses
        said = _Said.read(content, origin)
        return BackendUnavailableError(
            f"backend {origin.backend} sent an error with status {status}: {said.text}",
            backend=origin.backend,
            status=status,
        )
    return error_for_status(origin, told, {}, content)


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds that ``retry-after-ms`` or ``retry-after`` (seconds or a date) asks to wait; None without."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """What a backend says went wrong: ``code`` is one or two machine-readable words, possibly none."""

    text: str
    code: str

    @classmethod
    def read(cls, body: bytes, origin: Origin) -> "_Said":
        envelope = _envelope(body)
        text = envelope.get("message") or envelope.get("detail") or body.decode(errors="replace")
        code = f"{envelope.get('code') or ''} {envelope.get('type') or ''}".lower()
        return cls(text=_clean(str(text), origin) or "(no message)", code=code)


def _is_busy(status: int, said: _Said) -> bool:
    return status == httpx.codes.SERVICE_UNAVAILABLE and _BUSY in said.text.lower()


def _envelope(body: bytes) -> JsonObject:
    """OpenAI's nested error, or a flat one such as older vLLM's, or nothing."""
    try:
        value: JsonValue = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(value, dict):
        return {}
    error = value.get("error")
    if isinstance(error, dict):
        return error
    return {"message": error} if isinstance(error, str) else value


def _misconfigured(origin: Origin, status: int, said: _Said) -> MisconfiguredError | None:
    backend, model, setting = origin.backend, origin.model, origin.setting
    blamed = said.code + said.text.lower()
    advice = None
    kind: type[MisconfiguredError] = MisconfiguredError
    if status == httpx.codes.UNAUTHORIZED:
        advice = f"it does not accept the key: check backends.{backend}.api_key_env or api_key_file"
    elif status == httpx.codes.FORBIDDEN and not any(word in blamed for word in _MODERATION_WORDS):
        advice = (
            f"the key may not use model {model}: check backends.{backend}.api_key_env or api_key_file, "
            f"and {setting}.model"
        )
    elif status == httpx.codes.NOT_FOUND and "model" in blamed:
        advice = f"it has no model {model}: set {setting}.model to one that it serves"
    elif status in {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.NOT_IMPLEMENTED}:
        advice = (
            f"it does not offer this API: check that backends.{backend}.base_url ends in /v1, and {setting}"
        )
    elif httpx.codes.is_redirect(status):
        advice = f"it redirects: set backends.{backend}.base_url to where the server really is"
    elif status == httpx.codes.PAYMENT_REQUIRED or "insufficient_quota" in said.code:
        advice = f"the account behind backends.{backend} has no quota left: raise it, or use another key"
        kind = QuotaExhaustedError
    if advice is None:
        return None
    return kind(f"backend {backend} answered {status} ({setting}): {advice}", backend=backend, status=status)


def _never_sent(error: Exception) -> bool:
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    if isinstance(cause, aiohttp.ClientError):
        # httpx's transport calls every lost connection a ConnectTimeout: only the cause tells them apart.
        return isinstance(
            cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL
        )
    kinds = (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
    )
    return isinstance(cause, kinds)


def _no_connection(error: Exception) -> str:
    """Why there is no connection: whoever has to set it right needs to know."""
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    told = "no connection"
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        told = "nobody knows the host's name"
    elif isinstance(cause, aiohttp.ClientConnectorCertificateError):
        why = getattr(cause.certificate_error, "verify_message", "")
        told = f"its certificate is not trusted{why and f' ({why})'}"
    elif isinstance(cause, aiohttp.ClientConnectorSSLError):
        told = "it does not speak TLS, or none that is safe"
    elif isinstance(cause, httpx.TimeoutException | TimeoutError):
        told = "no connection in time"
    elif isinstance(cause, aiohttp.ClientConnectorError) and cause.errno:
        told = os.strerror(cause.errno).lower()
    return told


def _not_http(error: Exception) -> bool:
    cause = error.__cause__ or error
    kinds = (aiohttp.ClientResponseError, ContentEncodingError, httpx.DecodingError)
    return isinstance(cause, kinds) or isinstance(error, kinds)


def _clean(text: str, origin: Origin) -> str:
    secret = origin.key.get_secret_value() if origin.key else ""
    return quote_inline(text.replace(secret, "***") if secret else text, limit=_SAID_LIMIT).text


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
