"""Requests for models take the short way, and are answered there as they would be on the long one."""

from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter, FastAPI
from starlette.types import Scope

from app.chat.endpoints import router as chat_router
from app.serving_routes import ServingRoutes
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import Service, open_service, question

SERVED = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")


@pytest.fixture
async def service(sqlite_url: str) -> AsyncIterator[Service]:
    async with open_service(sqlite_url) as opened:
        yield opened


@pytest.fixture
def framework_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise AssertionError("the framework was asked")

    monkeypatch.setattr(FastAPI, "__call__", refuse)


@pytest.mark.usefixtures("framework_is_away")
async def test_requests_for_models_never_enter_the_framework(service: Service) -> None:
    assert (await service.ask(question())).status_code == 200
    for path in SERVED:
        response = await service.client.post(path, content=b"[")
        assert response.status_code == 400, path
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        assert response.headers["x-request-id"]
        assert response.headers["server-timing"]


@pytest.mark.parametrize("path", SERVED)
async def test_other_methods_are_refused_by_the_framework(service: Service, path: str) -> None:
    response = await service.client.get(path)
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.usefixtures("framework_is_away")
async def test_keys_and_scopes_are_checked(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-admin-0123456789"}) as service:
        key, _ = await add_key(service.resources.access.keys, "optimize")
        for path in SERVED:
            unknown = await service.client.post(path, content=b"{}", headers=bearer("drpo_no"))
            assert (unknown.status_code, unknown.json()["error"]["code"]) == (401, "invalid_api_key")
            other = await service.client.post(path, content=b"{}", headers=bearer(key))
            assert (other.status_code, other.json()["error"]["code"]) == (403, "insufficient_scope")


@pytest.mark.usefixtures("framework_is_away")
async def test_a_bug_is_a_500_that_names_the_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("what only the log may know")

    monkeypatch.setattr("app.chat.endpoints.read_request", fail)
    response = await service.ask(question(), x_request_id="order-66")
    assert response.status_code == 500
    assert "order-66" in response.json()["error"]["message"]
    assert "only the log" not in response.text


async def test_only_posts_to_the_routes_of_the_routers_are_answered(service: Service) -> None:
    routes = ServingRoutes([chat_router], service.resources)
    scope: Scope = {"type": "http", "method": "POST", "path": SERVED[0]}
    assert routes.answers(scope)
    for other in ({"method": "GET"}, {"path": SERVED[1]}, {"path": f"{SERVED[0]}/"}, {"type": "websocket"}):
        assert not routes.answers({**scope, **other})


async def test_a_route_has_to_say_which_scope_it_requires(service: Service) -> None:
    router = APIRouter()

    @router.post("/v1/open")
    async def answer() -> None: ...

    with pytest.raises(ValueError, match="/v1/open does not say"):
        ServingRoutes([router], service.resources)
