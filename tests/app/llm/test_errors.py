import re
from collections.abc import Mapping
from datetime import UTC, datetime

import aiohttp
import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.llm.errors import (
    NeverSentError,
    Origin,
    error_for_status,
    error_in_body,
    retry_after,
    transport_errors,
)
from optimizer.errors import (
    BackendUnavailableError,
    MalformedResponseError,
    MisconfiguredError,
    ModelError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRefusedError,
)
from optimizer.types import JsonValue

SECRET = "sk-abcdefgh"
ORIGIN = Origin(backend="local", model="big", setting="roles.judge", key=SecretStr(SECRET))
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def body(message: str = "no", code: str | None = None, kind: str | None = None) -> bytes:
    return orjson.dumps({"error": {"message": message, "code": code, "type": kind, "param": None}})


def of_status(status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> ModelError:
    return error_for_status(ORIGIN, status, headers or {}, content, now=NOON)


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (400, body(), RequestRefusedError),
        (413, body(), RequestRefusedError),
        (422, body(), RequestRefusedError),
        (403, body("flagged", code="moderation"), RequestRefusedError),
        (408, body(), BackendUnavailableError),
        (409, body(), BackendUnavailableError),
        (500, body(), BackendUnavailableError),
        (502, b"<html>bad gateway</html>", BackendUnavailableError),
        (503, b"", BackendUnavailableError),
        (503, body("The engine is currently busy and cannot accept new requests."), RateLimitedError),
        (500, body("The engine is currently busy"), BackendUnavailableError),
        (504, b"\xff\xfe", BackendUnavailableError),
        (429, body(), RateLimitedError),
        (529, body(), RateLimitedError),
        (401, body(), MisconfiguredError),
        (402, body(), QuotaExhaustedError),
        (403, body(), MisconfiguredError),
        (404, body("The model does not exist", code="model_not_found"), MisconfiguredError),
        (404, b"not found", MisconfiguredError),
        (405, b"", MisconfiguredError),
        (501, b"", MisconfiguredError),
        (308, b"", MisconfiguredError),
        (429, body(code="insufficient_quota"), QuotaExhaustedError),
    ],
)
def test_a_status_has_its_error(status: int, content: bytes, kind: type[ModelError]) -> None:
    error = of_status(status, content)
    assert type(error) is kind
    assert (error.backend, error.status) == ("local", status)


@pytest.mark.parametrize(
    ("status", "content", "advice"),
    [
        (401, body(), r"backends\.local\.api_key_env or api_key_file"),
        (403, body(), r"may not use model big: .*roles\.judge\.model"),
        (404, body(code="model_not_found"), r"no model big: set roles\.judge\.model"),
        (404, b"nothing here", r"backends\.local\.base_url ends in /v1"),
        (301, b"", r"set backends\.local\.base_url"),
        (402, b"", r"no quota left"),
    ],
)
def test_a_misconfiguration_says_what_to_change(status: int, content: bytes, advice: str) -> None:
    with pytest.raises(MisconfiguredError, match=advice):
        raise of_status(status, content)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (body("n must be 1 when using greedy sampling, got 2."), "raise temperature"),
        (body("This model's maximum context length is 4096 tokens. However, …"), "fewer examples"),
        (body("too long", code="context_length_exceeded"), "fewer examples"),
        (body("max_tokens=9999 cannot be greater than max_model_len=4096."), r"max_tokens\): prompt"),
        (body('"auto" tool choice requires --tool-call-parser to be set'), "send no tools"),
        (body("The provided JSON schema contains features not supported by xgrammar."), "this schema"),
        (
            body("Requested sample logprobs of 50, which is greater than max allowed: 20"),
            "fewer alternatives",
        ),
        (body("tiny is not a multimodal model"), "text alone"),
    ],
)
def test_a_refusal_that_is_known_says_what_to_change(content: bytes, advice: str) -> None:
    with pytest.raises(RequestRefusedError, match=advice):
        raise of_status(400, content)


@pytest.mark.parametrize(
    "content",
    [
        body("the reason"),
        orjson.dumps({"object": "error", "message": "the reason", "code": 400}),
        orjson.dumps({"error": "the reason"}),
        orjson.dumps({"detail": "the reason"}),
        b"the reason",
    ],
)
def test_what_the_backend_says_is_read_from_every_envelope(content: bytes) -> None:
    assert str(of_status(400, content)).endswith("400: the reason")


@given(content=st.binary(max_size=200), status=st.integers(300, 599))
def test_any_body_gives_a_model_error(content: bytes, status: int) -> None:
    error = of_status(status, content)
    assert error.status == status
    assert "\n" not in str(error)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_the_key_never_shows(status: int) -> None:
    error = of_status(status, body(f"key {SECRET} is bad, model {SECRET}"))
    assert SECRET not in str(error)
    assert SECRET not in repr(ORIGIN)


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_said_about_a_refused_key_is_not_repeated(status: int) -> None:
    """Providers show parts of the key, in forms that cannot be found and blotted out."""
    error = of_status(status, body("Incorrect key: sk-01****ef. You can find yours in your account."))
    assert isinstance(error, MisconfiguredError)
    assert "sk-" not in str(error)
    assert "account" not in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Mon, 05 Jan 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 05 Jan 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after": "Mon, 05 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_the_time_to_wait_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOON) == seconds
    error = of_status(429, body(), headers)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == seconds


def test_an_overloaded_server_that_says_when_to_come_back_is_a_rate_limit() -> None:
    error = of_status(503, b"", {"retry-after": "3"})
    assert isinstance(error, RateLimitedError)
    assert (error.status, error.retry_after) == (503, 3.0)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"error": {"code": 429, "message": "slow"}}, RateLimitedError),
        ({"error": {"code": "400", "message": "bad"}}, RequestRefusedError),
        ({"error": {"code": "server_error", "message": "oops"}}, BackendUnavailableError),
        ({"error": {"code": 7}}, BackendUnavailableError),
        ({"error": "oops"}, BackendUnavailableError),
    ],
)
def test_an_error_inside_a_good_response_is_found(content: JsonValue, kind: type[ModelError]) -> None:
    assert type(error_in_body(ORIGIN, content, 200, content=orjson.dumps(content))) is kind


@pytest.mark.parametrize("content", [None, [], {}, {"error": None}, {"error": {}}, {"choices": []}])
def test_a_good_response_holds_no_error(content: JsonValue) -> None:
    assert error_in_body(ORIGIN, content, 200, content=orjson.dumps(content)) is None


def test_an_error_that_is_nested_deeper_than_can_be_written_is_still_one() -> None:
    content = b'{"error": {"code": 429, "message": "slow", "detail": ' + b"[" * 900 + b"]" * 900 + b"}}"
    error = error_in_body(ORIGIN, orjson.loads(content), 200, content=content)
    assert isinstance(error, RateLimitedError)
    assert "slow" in str(error)


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("refused"), NeverSentError),
        (httpx.UnsupportedProtocol("gopher"), NeverSentError),
        (caused_by(httpx.ConnectTimeout("x"), aiohttp.ConnectionTimeoutError()), NeverSentError),
        (caused_by(httpx.ConnectTimeout("x"), aiohttp.ServerDisconnectedError()), BackendUnavailableError),
        (httpx.ReadTimeout("slow"), BackendUnavailableError),
        (httpx.ReadError("cut"), BackendUnavailableError),
        (httpx.RemoteProtocolError("cut"), BackendUnavailableError),
        (TimeoutError(), BackendUnavailableError),
        (ConnectionResetError(), BackendUnavailableError),
        (httpx.DecodingError("gzip"), MalformedResponseError),
    ],
)
def test_what_the_client_raises_becomes_a_model_error(raised: Exception, kind: type[ModelError]) -> None:
    with pytest.raises(ModelError) as caught, transport_errors(ORIGIN):
        raise raised
    assert type(caught.value) is kind
    assert caught.value.backend == "local"
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (
            aiohttp.ClientPayloadError("TransferEncodingError 400 of https://10.0.0.7"),
            "before its answer was",
        ),
        (
            aiohttp.SocketTimeoutError("reading https://10.0.0.7"),
            "no answer in time (backends.local.timeouts)",
        ),
        (ConnectionResetError(104, "of https://10.0.0.7"), "closed the connection"),
        (httpx.DecodingError("of https://10.0.0.7"), "what is not HTTP"),
        (aiohttp.InvalidUrlClientError("https://10.0.0.7"), "is backends.local.base_url right?"),
        (caused_by(httpx.ReadError("10.0.0.7"), aiohttp.ClientPayloadError("cut")), "closed the connection"),
    ],
)
def test_a_lost_answer_is_told_in_our_words(raised: Exception, told: str) -> None:
    with pytest.raises(ModelError, match=re.escape(told)) as caught, transport_errors(ORIGIN):
        raise raised
    assert "10.0.0.7" not in str(caught.value)


def test_other_exceptions_pass() -> None:
    with pytest.raises(ZeroDivisionError), transport_errors(ORIGIN):
        raise ZeroDivisionError
