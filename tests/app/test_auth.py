import logging

import pytest
from starlette.datastructures import Headers

from app.access.key_text import new_key
from app.access.keyring import KeyProblem
from app.access.principal import Principal, Scope, operator
from app.auth import Authenticator
from app.errors import ApiError
from app.settings import Settings
from tests.app.chat.serving import MODEL, add_version, open_service, question

KEY = "sk-ours-0123456789abcdef"
LOCAL = Headers({"host": "127.0.0.1:8000"})


STORED = new_key()
SERVING = Principal(name="key_1", scopes=frozenset({Scope.SERVE}))


class Keys:
    """One stored key."""

    async def find(self, text: str) -> Principal | KeyProblem:
        return SERVING if text == STORED else KeyProblem.REVOKED


def authenticator(api_key: str | None) -> Authenticator:
    return Authenticator(api_key, Keys())


def with_key(authorization: str) -> Headers:
    return Headers({"host": "127.0.0.1:8000", "authorization": authorization})


async def test_without_a_key_everybody_is_let_in() -> None:
    open_to_all = authenticator(None)
    assert await open_to_all.authenticate(LOCAL) == operator("local")
    assert await open_to_all.authenticate(with_key("Bearer anything")) == operator("local")


@pytest.mark.parametrize("configured", [None, KEY])
async def test_a_stored_key_is_its_own_principal_with_or_without_a_key_in_the_settings(
    configured: str | None,
) -> None:
    assert await authenticator(configured).authenticate(with_key(f"Bearer {STORED}")) == SERVING
    with pytest.raises(ApiError, match="revoked") as caught:
        await authenticator(configured).authenticate(with_key(f"Bearer {new_key()}"))
    assert caught.value.answer.status == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_right_key_passes(scheme: str) -> None:
    assert await authenticator(KEY).authenticate(with_key(f"{scheme} {KEY}")) == operator("api_key")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        KEY,
        f"Basic {KEY}",
        "Bearer",
        "Bearer ",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY.upper()}",
        "Bearer \xff\xfe",
    ],
)
async def test_anything_else_is_refused_without_a_word_about_the_key(authorization: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        await authenticator(KEY).authenticate(LOCAL if authorization is None else with_key(authorization))
    assert caught.value.answer.status == 401
    assert KEY not in caught.value.answer.message


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "drpo", "a.localhost"])
@pytest.mark.parametrize("origin", [None, "http://localhost:3000", "http://127.0.0.1:9", "http://[::1]"])
async def test_without_a_key_pages_of_this_machine_are_let_in(host: str, origin: str | None) -> None:
    headers = Headers({"host": host} | ({} if origin is None else {"origin": origin}))
    assert (await authenticator(None).authenticate(headers)).name == "local"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:8000", "origin": "https://evil.example"},
        {"host": "127.0.0.1:8000", "origin": "null"},
        {"host": "evil.example:8000"},
        {"host": "192.168.1.4:8000"},
        {"host": "[::1"},
        {"host": "127.0.0.1:8000", "origin": "http://[x"},
        {"host": ""},
        {},
    ],
)
async def test_without_a_key_foreign_pages_and_names_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ApiError) as caught:
        await authenticator(None).authenticate(Headers(headers))
    assert caught.value.answer.status == 403


async def test_a_foreign_page_spends_nothing(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        response = await service.client.post(
            "/v1/chat/completions", json=question(), headers={"origin": "https://evil.example"}
        )
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "foreign_origin"
        assert service.fake.requests == []


async def test_the_key_is_looked_at_before_the_body(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": KEY}) as service:
        response = await service.client.post("/v1/optimizations", content=b"{not json")
    assert response.status_code == 401


def test_an_authenticator_holds_no_key() -> None:
    assert KEY not in repr(vars(authenticator(KEY)))


PROTECTED = [
    ("GET", "/v1/models"),
    ("GET", f"/v1/models/{MODEL}"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/optimizations"),
    ("GET", "/v1/optimizations/opt_1"),
    ("GET", "/v1/optimizations/opt_1/candidates"),
    ("GET", "/v1/optimizations/opt_1/evaluations"),
    ("GET", "/v1/optimizations/opt_1/events"),
    ("POST", "/v1/optimizations/opt_1/cancel"),
    ("GET", "/v1/prompts"),
    ("GET", f"/v1/prompts/{MODEL}/versions"),
    ("GET", f"/v1/prompts/{MODEL}/versions/pv_1"),
    ("GET", f"/v1/prompts/{MODEL}/label-moves"),
]


async def test_with_a_key_every_route_but_the_probes_wants_it(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": KEY}) as service:
        for method, path in PROTECTED:
            for headers in ({}, {"authorization": "Bearer wrong"}):
                response = await service.client.request(method, path, headers=headers)
                assert response.status_code == 401, (method, path)
                assert response.json()["error"] == {
                    "message": "the API key is missing or wrong: send 'Authorization: Bearer <key>'",
                    "type": "authentication_error",
                    "param": None,
                    "code": "invalid_api_key",
                }
                assert response.headers["www-authenticate"] == "Bearer"
                assert response.headers["x-should-retry"] == "false"
        for path in ("/livez", "/readyz"):
            assert (await service.client.get(path)).status_code == 200
        assert service.fake.requests == []


async def test_no_route_of_the_api_is_forgotten(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": KEY}) as service:
        paths = (await service.client.get("/openapi.json")).json()["paths"]
        open_ones = []
        for path, methods in paths.items():
            for method in methods:
                place = path.replace("{model}", MODEL).replace("{", "").replace("}", "")
                body = {"version": "pv_1", "reason": "r", "target": MODEL}
                files = {"file": ("q.jsonl", b"{}")} if path == "/v1/datasets" and method == "post" else None
                response = await service.client.request(
                    method, place, json=None if files else body, files=files
                )
                if response.status_code != 401:
                    open_ones.append(path)
    assert sorted(open_ones) == ["/health", "/healthz", "/livez", "/readyz"]


async def test_with_the_right_key_requests_are_answered_and_the_key_goes_nowhere(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_service(sqlite_url, server={"api_key": KEY}) as service:
        response = await service.client.post(
            "/v1/chat/completions", json=question(), headers={"authorization": f"Bearer {KEY}"}
        )
        refused = await service.client.get("/v1/nowhere", headers={"authorization": f"Bearer {KEY}"})
    assert response.status_code == 200
    assert KEY not in caplog.text + response.text + refused.text
    assert KEY not in str(service.sent.headers)


async def test_the_audit_log_names_the_principal(sqlite_url: str) -> None:
    authorization = {"authorization": f"Bearer {KEY}"}
    async with open_service(sqlite_url, server={"api_key": KEY}) as service:
        version = await add_version(service.resources.prompts, label=None)
        move = {"version": version.id, "reason": "try it"}
        path = f"/v1/prompts/{MODEL}"
        await service.client.put(f"{path}/labels/production", json=move, headers=authorization)
        log = (await service.client.get(f"{path}/label-moves", headers=authorization)).json()["data"]
    assert [(line["to_version"], line["actor"]) for line in log] == [(version.id, "api_key")]


def test_settings_do_not_show_the_key() -> None:
    settings = Settings.model_validate({"server": {"api_key": KEY}})
    assert KEY not in repr(settings)
    assert KEY not in settings.model_dump_json()
