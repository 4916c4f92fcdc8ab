"""Every error that a client sees, in OpenAI's envelope ``{"error": {message, type, param, code}}``.

Bad input is a 4xx that says what to change; a backend's failure a 429, 502 or 503; a bug a 500 that names the
request id under which it was logged.
"""

import http
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from optimizer.errors import (
    BackendUnavailableError,
    DrpoError,
    InvalidInputError,
    MisconfiguredError,
    ModelError,
    RateLimitedError,
    RequestRefusedError,
)
from optimizer.types import JsonObject
from store.errors import ConflictError, NotFoundError, StoreError, StoreUnavailableError

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"

_NO_OBJECT = frozenset({"dict_type", "model_type", "model_attributes_type"})  # pydantic's names for it
_PATIENCE_SECONDS = 1.0  # where nobody says how long to wait


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorAnswer:
    """An error as a client gets it.

    Attributes:
        retry_after: seconds after which another try makes sense, or None.
        final: no try makes sense, although the status is a 5xx.
        headers: further ones.
    """

    status: int
    message: str
    type: str
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    final: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> JsonObject:
        """The envelope."""
        param = None if self.param is None else _sendable(self.param)
        message = _sendable(self.message)
        return {"error": {"message": message, "type": self.type, "param": param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The HTTP response; it tells OpenAI's SDKs whether another try makes sense."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after))
        elif self.final or self.status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
            headers["x-should-retry"] = "false"
        if self.status == http.HTTPStatus.UNAUTHORIZED:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse(self.body(), status_code=self.status, headers=headers)


def _sendable(text: str) -> str:
    """``text`` without lone surrogates: errors repeat what was sent, and UTF-8 holds less than JSON."""
    return text.encode("utf-8", "replace").decode()


class ApiError(DrpoError):
    """An error that an endpoint raises with its answer at hand."""

    def __init__(self, answer: ErrorAnswer) -> None:
        super().__init__(answer.message)
        self.answer = answer


def invalid_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """A 400 that says what to change."""
    return ApiError(ErrorAnswer(status=400, message=message, type=INVALID_REQUEST, param=param, code=code))


def not_found(message: str, *, param: str | None = None, code: str | None = "not_found") -> ApiError:
    """A 404."""
    return ApiError(ErrorAnswer(status=404, message=message, type=INVALID_REQUEST, param=param, code=code))


def conflict(message: str, *, code: str = "conflict") -> ApiError:
    """A 409: it would work at another time."""
    return ApiError(ErrorAnswer(status=409, message=message, type=INVALID_REQUEST, code=code))


def unprocessable(message: str, *, param: str | None = None, code: str) -> ApiError:
    """A 422: each part of the request is fine, but they contradict each other."""
    return ApiError(ErrorAnswer(status=422, message=message, type=INVALID_REQUEST, param=param, code=code))


def gone(message: str, *, code: str) -> ApiError:
    """A 410: it will never work again."""
    return ApiError(ErrorAnswer(status=410, message=message, type=INVALID_REQUEST, code=code))


_PLAIN: tuple[tuple[type[Exception], int, str | None], ...] = (
    (InvalidInputError, 400, None),
    (NotFoundError, 404, "not_found"),
    (ConflictError, 409, "conflict"),
)


def answer_to(error: Exception) -> ErrorAnswer | None:
    """What a client is told about ``error``, or None where it is a bug."""
    if isinstance(error, ApiError):
        return error.answer
    if isinstance(error, ModelError):
        return _backend_answer(error)
    for kind, status, code in _PLAIN:
        if isinstance(error, kind):
            param = error.param if isinstance(error, InvalidInputError) else None
            return ErrorAnswer(
                status=status, message=str(error), type=INVALID_REQUEST, code=code, param=param
            )
    if isinstance(error, StoreUnavailableError):
        message = "the database cannot be reached right now"
        return ErrorAnswer(
            status=503,
            message=message,
            type=SERVER_ERROR,
            code="store_unavailable",
            retry_after=_PATIENCE_SECONDS,
        )
    return None


def _backend_answer(error: ModelError) -> ErrorAnswer:
    if isinstance(error, RateLimitedError):
        return ErrorAnswer(
            status=429,
            message=str(error),
            type="rate_limit_error",
            code="rate_limit_exceeded",
            retry_after=_PATIENCE_SECONDS if error.retry_after is None else error.retry_after,
        )
    if isinstance(error, RequestRefusedError) and not isinstance(error, MisconfiguredError):
        return ErrorAnswer(
            status=error.status or 400, message=str(error), type=INVALID_REQUEST, code="backend_refused"
        )
    if isinstance(error, BackendUnavailableError):
        return ErrorAnswer(
            status=503,
            message=str(error),
            type=SERVER_ERROR,
            code="backend_unavailable",
            retry_after=_PATIENCE_SECONDS if error.retry_after is None else error.retry_after,
        )
    misconfigured = isinstance(error, MisconfiguredError)
    code = "backend_misconfigured" if misconfigured else "backend_malformed"
    return ErrorAnswer(status=502, message=str(error), type=SERVER_ERROR, code=code, final=misconfigured)


def bug_answer(request_id: str) -> ErrorAnswer:
    """The answer to a request that met a bug of ours."""
    return ErrorAnswer(
        status=500,
        message=f"an internal error occurred; it was logged as {request_id}",
        type=SERVER_ERROR,
        code="internal_error",
    )


async def _on_known_error(_: Request, error: Exception) -> JSONResponse:
    answer = answer_to(error)
    if answer is None:
        raise error
    return answer.response()


async def _on_invalid_body(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    param = None
    if first["type"] == "json_invalid":
        message = f"the body is not valid JSON: {first['ctx']['error']}"
    else:
        param = _param(first["loc"], first["type"], error.body)
        message = _in_plain_words(first["type"], str(first["msg"]), param)
    return ErrorAnswer(status=400, message=message, type=INVALID_REQUEST, param=param).response()


def _in_plain_words(kind: str, message: str, param: str | None) -> str:
    """What pydantic says is wrong, in the words of HTTP and JSON instead of Python's."""
    if kind in _NO_OBJECT:
        message = "a JSON object is needed here"
    elif kind == "extra_forbidden":
        message = "there is no such field; /openapi.json names those that there are"
    elif "UploadFile" in message:
        message = "a file is needed here, as in curl -F file=@queries.jsonl"
    message = message.removeprefix("Value error, ")
    if param is not None:
        return f"{param}: {message}"
    if kind in {*_NO_OBJECT, "missing"}:
        return "the body has to be a JSON object, sent with 'content-type: application/json'"
    return message


def _param(place: Sequence[str | int], kind: str, body: Any) -> str | None:
    """The dotted name of the field at ``place``, as the client has written it.

    Pydantic also names the branches of a union that it has tried; they are not in ``body``, and mean nothing
    to a client.
    """
    source, *parts = place
    if source != "body":
        return ".".join(str(part) for part in parts) or None
    names: list[str] = []
    for number, part in enumerate(parts, start=1):
        if _holds(body, part):
            body = body[part]
        elif not (kind == "missing" and number == len(parts)):
            continue
        names.append(str(part))
    return ".".join(names) or None


def _holds(body: Any, part: str | int) -> bool:
    if isinstance(body, Mapping):
        return part in body
    return isinstance(body, list) and isinstance(part, int) and part < len(body)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    message, code = str(error.detail), None
    if error.status_code == http.HTTPStatus.NOT_FOUND:
        message, code = f"there is no {request.method} {request.url.path}", "not_found"
    elif error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = Headers(error.headers).get("allow", "another method")
        message = f"{request.url.path} does not take {request.method}: use {allowed}"
        code = "method_not_allowed"
    is_client_s = error.status_code < http.HTTPStatus.INTERNAL_SERVER_ERROR
    kind = INVALID_REQUEST if is_client_s else SERVER_ERROR
    response = ErrorAnswer(status=error.status_code, message=message, type=kind, code=code).response()
    response.headers.update(error.headers or {})
    return response


def install_error_handlers(app: FastAPI) -> None:
    """Give ``app`` the handlers that write the envelope."""
    app.add_exception_handler(DrpoError, _on_known_error)
    app.add_exception_handler(StoreError, _on_known_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_body)
    app.add_exception_handler(HTTPException, _on_http_exception)
