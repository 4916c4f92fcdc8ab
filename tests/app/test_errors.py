from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel, Field

from app.errors import (
    ApiError,
    ErrorAnswer,
    answer_to,
    bug_answer,
    install_error_handlers,
    invalid_request,
    not_found,
)
from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    DrpoError,
    InvalidInputError,
    MalformedReplyError,
    MalformedResponseError,
    MisconfiguredError,
    RateLimitedError,
    RequestRefusedError,
    TemplateError,
)
from store.errors import ConflictError, LostLeaseError, NotFoundError, StoreUnavailableError
from tests.app.chat.serving import open_service

B = "upstream"

KNOWN = [
    (InvalidInputError("change it", param="a.b"), 400, "invalid_request_error", None, "a.b"),
    (invalid_request("no", param="x", code="bad"), 400, "invalid_request_error", "bad", "x"),
    (not_found("none"), 404, "invalid_request_error", "not_found", None),
    (NotFoundError("none"), 404, "invalid_request_error", "not_found", None),
    (ConflictError("moved"), 409, "invalid_request_error", "conflict", None),
    (RequestRefusedError("no", backend=B, status=422), 422, "invalid_request_error", "backend_refused", None),
    (RequestRefusedError("no", backend=B), 400, "invalid_request_error", "backend_refused", None),
    (
        RateLimitedError("slow", backend=B, retry_after=6.2),
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        None,
    ),
    (RateLimitedError("slow", backend=B), 429, "rate_limit_error", "rate_limit_exceeded", None),
    (BackendUnavailableError("gone", backend=B), 503, "server_error", "backend_unavailable", None),
    (MalformedResponseError("odd", backend=B), 502, "server_error", "backend_malformed", None),
    (MisconfiguredError("key", backend=B, status=401), 502, "server_error", "backend_misconfigured", None),
    (StoreUnavailableError("secret dsn"), 503, "server_error", "store_unavailable", None),
]


@pytest.mark.parametrize(
    ("error", "status", "kind", "code", "param"), KNOWN, ids=lambda value: type(value).__name__
)
def test_each_known_error_has_its_answer(
    error: Exception, status: int, kind: str, code: str | None, param: str | None
) -> None:
    answer = answer_to(error)
    assert answer is not None
    assert answer.status == status
    told = answer.body()["error"]
    assert isinstance(told, dict)
    assert (told["type"], told["code"], told["param"]) == (kind, code, param)


@pytest.mark.parametrize(("error", "status"), [case[:2] for case in KNOWN], ids=lambda value: str(value)[:20])
def test_clients_are_told_whether_another_try_makes_sense(error: Exception, status: int) -> None:
    answer = answer_to(error)
    assert answer is not None
    headers = answer.response().headers
    if status in {429, 503}:
        assert int(headers["retry-after"]) >= 1
        assert "x-should-retry" not in headers
    else:
        assert "retry-after" not in headers
        assert headers.get("x-should-retry") == (None if answer.code == "backend_malformed" else "false")


def test_a_backend_s_patience_is_passed_on_in_whole_seconds() -> None:
    answer = answer_to(RateLimitedError("slow", backend=B, retry_after=6.2))
    assert answer is not None
    assert answer.response().headers["retry-after"] == "7"


def test_a_lost_database_does_not_show_its_address() -> None:
    answer = answer_to(StoreUnavailableError("postgresql://user:password@host"))
    assert answer is not None
    assert "password" not in answer.message


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        DrpoError("of no kind"),
        TemplateError("ours"),
        MalformedReplyError("escaped"),
        BudgetExceededError("calls"),
        LostLeaseError("opt_1", 3),
    ],
)
def test_everything_else_is_a_bug(error: Exception) -> None:
    assert answer_to(error) is None


def test_a_bug_s_answer_names_the_request_and_nothing_else() -> None:
    answer = bug_answer("req_1")
    assert (answer.status, answer.code) == (500, "internal_error")
    assert "req_1" in answer.message


class Item(BaseModel):
    text: str
    query: str = Field(default="x", min_length=1)


class Body(BaseModel, extra="forbid"):
    count: int = Field(ge=1)
    items: list[Item | str] | Item = []


def failing_app() -> FastAPI:
    app = FastAPI()
    install_error_handlers(app)

    @app.post("/body")
    async def body(_: Body) -> None: ...

    @app.get("/query")
    async def query(limit: Annotated[int, Query(ge=1)]) -> None: ...

    @app.get("/refused")
    async def refused() -> None:
        raise ApiError(ErrorAnswer(status=409, message="no", type="invalid_request_error"))

    @app.get("/stored")
    async def stored() -> None:
        raise NotFoundError("there is no such thing")

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout", headers={"x-kind": "pot"})

    @app.get("/gateway")
    async def gateway() -> None:
        raise HTTPException(504, "too slow")

    @app.get("/unknown")
    async def unknown() -> None:
        raise TemplateError("a bug of ours")

    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=failing_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://drpo") as opened:
        yield opened


def envelope(response: httpx.Response) -> dict[str, object]:
    body = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, object] = body["error"]
    return error


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({}, "count"),
        ({"count": 0}, "count"),
        ({"count": "many"}, "count"),
        ({"count": 1, "colour": "red"}, "colour"),
        ({"count": 1, "items": 5}, "items"),
        ({"count": 1, "items": [7]}, "items.0"),
        ({"count": 1, "items": [{"text": "a", "query": ""}]}, "items.0.query"),
        ({"count": 1, "items": ["fine", {}]}, "items.1.text"),
        ([], None),
    ],
)
async def test_a_body_that_does_not_fit_is_refused_with_the_field_s_name(
    client: httpx.AsyncClient, sent: object, param: str | None
) -> None:
    response = await client.post("/body", json=sent)
    assert response.status_code == 400
    assert response.headers["x-should-retry"] == "false"
    error = envelope(response)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert str(error["message"]).startswith(f"{param}: " if param else "the body has to be a JSON object")
    assert not any(word in str(error["message"]) for word in ("dictionary", "instance", "class"))


@pytest.mark.parametrize(
    ("content", "content_type"),
    [(b"", "application/json"), (b'{"count": 1}', "text/plain"), (b'{"count": 1}', "")],
)
async def test_a_body_that_is_missing_or_not_called_json_is_refused_with_the_remedy(
    client: httpx.AsyncClient, content: bytes, content_type: str
) -> None:
    response = await client.post("/body", content=content, headers={"content-type": content_type})
    assert response.status_code == 400
    assert "content-type: application/json" in str(envelope(response)["message"])


async def test_a_body_that_is_no_json_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post("/body", content=b'{"count": ', headers={"content-type": "application/json"})
    assert response.status_code == 400
    error = envelope(response)
    assert error["param"] is None
    assert str(error["message"]).startswith("the body is not valid JSON")


async def test_a_query_parameter_is_named(client: httpx.AsyncClient) -> None:
    response = await client.get("/query", params={"limit": 0})
    assert (response.status_code, envelope(response)["param"]) == (400, "limit")


async def test_a_missing_query_parameter_is_named(client: httpx.AsyncClient) -> None:
    response = await client.get("/query")
    assert (response.status_code, envelope(response)["param"]) == (400, "limit")


async def test_errors_of_endpoints_and_of_the_store_reach_the_client(client: httpx.AsyncClient) -> None:
    refused, stored = await client.get("/refused"), await client.get("/stored")
    assert (refused.status_code, envelope(refused)["message"]) == (409, "no")
    assert (stored.status_code, envelope(stored)["message"]) == (404, "there is no such thing")


async def test_an_unknown_route_is_named(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/nowhere")
    assert response.status_code == 404
    error = envelope(response)
    assert (error["message"], error["code"]) == ("there is no GET /v1/nowhere", "not_found")
    assert response.headers["x-should-retry"] == "false"


async def test_a_wrong_method_is_told_the_right_one(client: httpx.AsyncClient) -> None:
    response = await client.get("/body")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert envelope(response)["message"] == "/body does not take GET: use POST"


async def test_a_framework_s_error_keeps_its_headers(client: httpx.AsyncClient) -> None:
    response = await client.get("/teapot")
    assert (response.status_code, response.headers["x-kind"]) == (418, "pot")
    assert envelope(response)["message"] == "short and stout"


async def test_a_framework_s_server_error_is_one(client: httpx.AsyncClient) -> None:
    response = await client.get("/gateway")
    assert response.status_code == 504
    assert "x-should-retry" not in response.headers
    assert envelope(response)["type"] == "server_error"


async def test_an_error_without_an_answer_goes_on_as_a_bug(client: httpx.AsyncClient) -> None:
    with pytest.raises(TemplateError, match="a bug of ours"):
        await client.get("/unknown")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/optimizations/opt_none", 404),
        ("GET", "/v1/models/none", 404),
        ("GET", "/v2/models", 404),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/v1/optimizations?limit=0", 400),
        ("POST", "/v1/optimizations", 400),
    ],
)
async def test_the_service_answers_in_the_envelope(
    sqlite_url: str, method: str, path: str, status: int
) -> None:
    async with open_service(sqlite_url) as service:
        response = await service.client.request(method, path)
    assert response.status_code == status
    assert envelope(response)["type"] == "invalid_request_error"
    assert response.headers["x-should-retry"] == "false"
    assert response.headers["x-request-id"].startswith("req_")


async def test_the_union_of_queries_is_not_shown_to_clients(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        response = await service.client.post(
            "/v1/optimizations", json={"target": "tuned", "queries": [{"text": "a", "colour": "red"}]}
        )
    assert (response.status_code, envelope(response)["param"]) == (400, "queries.0.colour")
