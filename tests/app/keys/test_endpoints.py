"""Keys over HTTP: made, shown once, changed, revoked; and what one may not do with them."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.access.key_text import digest_of
from tests.app.access.stored_keys import bearer
from tests.app.chat.serving import BASE_MODEL, MODEL, Service, open_service, question

ADMIN = bearer("sk-admin-0123456789abcdef")
SERVER = {"api_key": "sk-admin-0123456789abcdef"}


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    async with open_service(database_url, server=SERVER) as opened:
        yield opened


async def make(service: Service, **fields: object) -> dict[str, object]:
    response = await service.client.post("/v1/keys", json={"name": "test", **fields}, headers=ADMIN)
    assert response.status_code == 201, response.text
    body: dict[str, object] = response.json()
    return body


def headers_of(made: dict[str, object]) -> dict[str, str]:
    return bearer(str(made["key"]))


async def asked(service: Service, made: dict[str, object], model: str = MODEL) -> httpx.Response:
    return await service.client.post(
        "/v1/chat/completions", json=question(model=model), headers=headers_of(made)
    )


async def test_a_key_is_shown_once_and_stored_nowhere(service: Service) -> None:
    made = await make(service, note="for the app", models=[MODEL])
    key = str(made.pop("key"))
    assert key.startswith(f"{made['prefix']}_")
    assert made["scopes"] == ["serve"]
    assert made["created_by"] == "api_key"
    got = (await service.client.get(f"/v1/keys/{made['id']}", headers=ADMIN)).json()
    assert got == made
    listed = (await service.client.get("/v1/keys", headers=ADMIN)).json()
    log = (await service.client.get(f"/v1/keys/{made['id']}/changes", headers=ADMIN)).json()
    secret = key.removeprefix(f"{made['prefix']}_")
    for shown in (listed, log):
        assert secret not in str(shown)
        assert digest_of(key) not in str(shown)


async def test_keys_come_in_pages_newest_first(service: Service) -> None:
    ids = [(await make(service))["id"] for _ in range(3)]
    first = (await service.client.get("/v1/keys?limit=2", headers=ADMIN)).json()
    assert [item["id"] for item in first["data"]] == ids[:0:-1]
    assert (first["first_id"], first["last_id"], first["has_more"]) == (ids[2], ids[1], True)
    rest = (await service.client.get(f"/v1/keys?after={ids[1]}", headers=ADMIN)).json()
    assert ([item["id"] for item in rest["data"]], rest["has_more"]) == ([ids[0]], False)


async def test_a_changed_key_is_another_key_at_once(service: Service) -> None:
    made = await make(service)
    assert (await asked(service, made)).status_code == 200
    path = f"/v1/keys/{made['id']}"
    limits = {"requests_per_minute": 3, "quotas": [{"period": "day", "cost": 1.5}]}
    changed = await service.client.patch(
        path, json={"scopes": ["optimize"], "limits": limits, "expires_at": 9e9}, headers=ADMIN
    )
    assert changed.status_code == 200
    assert changed.json()["scopes"] == ["optimize"]
    assert changed.json()["limits"]["quotas"] == [
        {"period": "day", "requests": None, "tokens": None, "cost": 1.5}
    ]
    assert (await asked(service, made)).status_code == 403
    back = await service.client.patch(path, json={"scopes": ["serve"], "expires_at": None}, headers=ADMIN)
    assert back.json()["expires_at"] is None
    assert back.json()["limits"]["requests_per_minute"] == 3
    assert (await asked(service, made)).status_code == 200
    log = (await service.client.get(f"{path}/changes", headers=ADMIN)).json()["data"]
    assert [line["change"] for line in log] == ["changed", "changed", "created"]
    assert log[0]["fields"] == {"scopes": ["serve"], "expires_at": None}


async def test_a_revoked_key_opens_nothing_more(service: Service) -> None:
    made = await make(service)
    assert (await asked(service, made)).status_code == 200
    revoked = await service.client.delete(f"/v1/keys/{made['id']}", headers=ADMIN)
    assert revoked.json()["revoked_at"] is not None
    refused = await asked(service, made)
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"
    assert "revoked" in refused.json()["error"]["message"]
    changed = await service.client.patch(f"/v1/keys/{made['id']}", json={"name": "x"}, headers=ADMIN)
    assert changed.status_code == 409


async def test_a_revoked_key_fails_in_another_process_too(postgres_url: str) -> None:
    async with (
        open_service(postgres_url, server=SERVER) as service,
        open_service(postgres_url, server=SERVER, api_keys={"refresh_seconds": 0.01}) as other,
    ):
        made = await make(service)
        assert (await asked(other, made)).status_code == 200
        await service.client.delete(f"/v1/keys/{made['id']}", headers=ADMIN)
        while (await asked(other, made)).status_code == 200:
            pass
        assert (await asked(other, made)).status_code == 401


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes.0"),
        ({"name": "x", "models": ["nobody"]}, "models"),
        ({"name": "x", "expires_at": 1.0}, "expires_at"),
        ({"name": "x", "expires_at": 1e300}, "expires_at"),
        ({"name": "x", "expires_at": 253_402_300_800}, "expires_at"),
        ({"name": "x", "limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"name": "x", "limits": {"quotas": [{"period": "day"}]}}, "limits.quotas.0"),
        ({"name": "x", "limits": {"quotas": [{"period": "week", "tokens": 1}]}}, "limits.quotas.0.period"),
        ({"name": "x", "limits": {"quotas": [{"period": "day", "tokens": 1}] * 2}}, "limits"),
        ({"name": "x", "colour": "red"}, "colour"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(
    service: Service, body: dict[str, object], param: str
) -> None:
    response = await service.client.post("/v1/keys", json=body, headers=ADMIN)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


async def test_what_does_not_exist_is_not_found(service: Service) -> None:
    for method, path in (("GET", "key_x"), ("DELETE", "key_x"), ("GET", "key_x/changes")):
        response = await service.client.request(method, f"/v1/keys/{path}", headers=ADMIN)
        assert response.status_code == 404, path
    assert (await service.client.get("/v1/keys?after=key_x", headers=ADMIN)).status_code == 404
    nothing = await service.client.patch("/v1/keys/key_x", json={}, headers=ADMIN)
    assert nothing.status_code == 400


SPELLINGS = [MODEL.upper(), f" {MODEL}", f"{MODEL} ", f"{MODEL}\u200b", f"./{MODEL}", f"upstream/{MODEL}"]


@pytest.mark.parametrize("model", [MODEL, *SPELLINGS, "vendor-model-1", "upstream/vendor-model-1", "*"])
async def test_a_model_that_is_not_allowed_is_reached_by_no_spelling(service: Service, model: str) -> None:
    made = await make(service, models=[BASE_MODEL], scopes=["serve", "optimize"])
    refused = await asked(service, made, model)
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "model_not_found"
    assert f"use one of {BASE_MODEL}" in refused.json()["error"]["message"]
    for path in ("/v1/optimizations", "/v1/optimizations/estimate"):
        job = await service.client.post(path, json={"target": model}, headers=headers_of(made))
        assert job.status_code == 400, path
    assert service.fake.requests == []


async def test_a_key_sees_the_models_that_it_may_ask(service: Service) -> None:
    made = await make(service, models=[BASE_MODEL])
    listed = await service.client.get("/v1/models", headers=headers_of(made))
    assert [card["id"] for card in listed.json()["data"]] == [BASE_MODEL]
    assert (await service.client.get(f"/v1/models/{BASE_MODEL}", headers=headers_of(made))).status_code == 200
    assert (await service.client.get(f"/v1/models/{MODEL}", headers=headers_of(made))).status_code == 404


async def test_who_makes_keys_is_on_record_by_the_id_of_the_key(service: Service) -> None:
    boss = await make(service, scopes=["admin"])
    made = await service.client.post("/v1/keys", json={"name": "x"}, headers=headers_of(boss))
    assert made.json()["created_by"] == boss["id"]


async def test_no_key_is_in_the_log(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    made = await make(service)
    await asked(service, made)
    await service.client.delete(f"/v1/keys/{made['id']}", headers=ADMIN)
    await asked(service, made)
    assert str(made["key"]) not in caplog.text
