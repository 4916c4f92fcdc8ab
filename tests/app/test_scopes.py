"""Every route of the API says who may use it, and lets in nobody else."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from app.access.principal import Scope
from app.auth import OptimizingPrincipal, required_scopes
from app.main import create_app
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import open_service

ARCHITECTURE = Path(__file__).resolve().parents[2] / "ARCHITECTURE.md"
SERVED = {"/v1/chat/completions": {Scope.SERVE}}


async def test_every_route_requires_a_scope_and_the_table_of_scopes_is_true(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        found = required_scopes(create_app(service.resources))
    assert len(found) > 25
    table = documented()
    for route, scopes in found.items():
        path = route.split(" ")[1]
        group = max((place for place in table if path.startswith(place)), key=len, default=None)
        assert group is not None, f"{path} is not in ARCHITECTURE.md's table of scopes"
        assert scopes == table[group], route


def documented() -> dict[str, set[Scope]]:
    """ARCHITECTURE.md's table: the beginning of a path, and the scopes of which one is needed."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(/v1/[^`]*)` \| ([a-z, ]+) \|", text, re.MULTILINE)
    return {path: {Scope(name.strip()) for name in names.split(",")} for path, names in rows}


async def test_a_key_without_the_scope_is_refused_everywhere_before_anything_is_read(
    sqlite_url: str,
) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-admin-0123456789"}) as service:
        keys = {scope: (await add_key(service.resources.access.keys, scope))[0] for scope in Scope}
        document = (await service.client.get("/openapi.json")).json()
        refused = 0
        for route, scopes in required_scopes(create_app(service.resources)).items():
            methods, path = route.split(" ")
            for scope in set(Scope) - scopes - {Scope.ADMIN}:
                for method in methods.split("|"):
                    place = re.sub(r"{([^}:]*)(:path)?}", r"x", path)
                    response = await service.client.request(
                        method, place, headers=bearer(keys[scope]), **body_for(method, path)
                    )
                    assert response.status_code == 403, (method, path, scope, response.text)
                    assert response.json()["error"]["code"] == "insufficient_scope"
                    refused += 1
        assert refused > 20
        assert service.fake.requests == []
        assert document["components"]["securitySchemes"]["api_key"]["scheme"] == "bearer"
        assert document["paths"]["/v1/keys"]["post"]["security"] == [{"api_key": ["admin"]}]


def body_for(method: str, path: str) -> dict[str, Any]:
    """A body that FastAPI can read, which it does before it looks at scopes."""
    if method not in {"POST", "PUT", "PATCH"}:
        return {}
    if path == "/v1/datasets":
        return {"files": {"file": ("q.jsonl", b"{}")}}
    return {"json": {"target": "x", "name": "x", "version": "pv", "reason": "r"}}


@pytest.mark.parametrize("scope", list(Scope))
async def test_the_key_of_the_settings_and_admin_keys_may_do_everything(
    sqlite_url: str, scope: Scope
) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-admin-0123456789"}) as service:
        admin, _ = await add_key(service.resources.access.keys, "admin")
        for key in (admin, "sk-admin-0123456789"):
            for path in ("/v1/keys", "/v1/models", "/v1/prompts"):
                assert (await service.client.get(path, headers=bearer(key))).status_code == 200


def test_routes_that_say_nothing_are_found_wherever_they_hide() -> None:
    app, inner, outer = FastAPI(openapi_url=None), APIRouter(prefix="/b"), APIRouter(prefix="/v1")

    async def endpoint() -> None: ...

    async def guarded(_: OptimizingPrincipal) -> None: ...

    inner.get("/open")(endpoint)
    inner.get("/guarded")(guarded)
    outer.include_router(inner)
    app.include_router(outer)
    app.get("/livez")(endpoint)
    app.add_route("/v1/plain", lambda _: Response())
    app.mount("/v1/mounted", FastAPI(openapi_url=None))
    found = required_scopes(app)
    assert found.pop("GET /v1/b/guarded") == {Scope.OPTIMIZE}
    assert set(found.values()) == {frozenset()}
    assert {route.split(" ")[1] for route in found} == {"/v1/b/open", "/v1/plain", "/v1/mounted"}
