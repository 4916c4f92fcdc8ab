"""Pages of keys, health, query sets and example banks."""

import re
from html import unescape

import pytest

from app.health.schemas import Checks, Readiness
from tests.app.access.stored_keys import add_key
from tests.app.chat.serving import BASE_MODEL, MODEL, open_service
from tests.app.dashboard.browsing import SETTINGS_KEY, proof_for, sign_in
from tests.app.dashboard.test_pages import HOSTILE, check_page

KEYED = {"api_key": SETTINGS_KEY}
KEYS, HEALTH, DATA = (f"/dashboard/{name}" for name in ("keys", "health", "data"))


async def test_keys_are_shown_with_what_they_may_and_never_with_their_secret(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        limits = {"requests_per_minute": 61, "quotas": [{"period": "day", "tokens": 500, "cost": 2.5}]}
        body = {"name": HOSTILE, "note": HOSTILE, "scopes": ["serve"], "models": [BASE_MODEL]}
        made = (
            await service.client.post("/v1/keys", json={**body, "limits": limits, "expires_at": 4e9})
        ).json()
        keys = service.resources.access.keys
        await keys.change((await add_key(keys, "serve"))[1].id, {"expires_at": 5.0}, actor="test")
        await keys.change(made["id"], {"models": [BASE_MODEL, "gone"]}, actor="test")
        listed = await service.client.get(KEYS)
        shown = await service.client.get(f"{KEYS}/{made['id']}")
        for answer in (listed, shown):
            check_page(answer)
            assert made["key"] not in answer.text
            assert "61 requests a minute" in answer.text
            assert "a day: 500 tokens cost 2.50" in answer.text
        assert ">expired</span>" in listed.text
        assert 'value="61"' in shown.text
        assert 'data-limit="cost" min="0" step="any" value="2.5"' in shown.text
        assert 'data-at="4000000000.0"' in shown.text
        assert re.search(rf'value="{BASE_MODEL}" checked', shown.text)
        assert not re.search(rf'value="{MODEL}" checked', shown.text)
        assert "not configured" in shown.text
        await service.client.delete(f"/v1/keys/{made['id']}")
        revoked = (await service.client.get(f"{KEYS}/{made['id']}")).text
        assert ">revoked</span>" in revoked
        assert "data-revoke" not in revoked
        assert 'id="change-key"' not in revoked
        assert (await service.client.get(f"{KEYS}/key_x")).status_code == 404


async def test_keys_are_shown_in_pages(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        assert "No keys yet" in (await service.client.get(KEYS)).text
        for number in range(26):
            await service.client.post("/v1/keys", json={"name": f"key {number}."})
        first = (await service.client.get(KEYS)).text
        assert "key 25." in first
        assert "key 0." not in first
        older = re.search(r'href="([^"]+)" rel="next"', first)
        assert older is not None
        second = (await service.client.get(unescape(older[1]))).text
        assert "key 0." in second
        assert "key 25." not in second
        assert ">Newest</a>" in second


async def test_query_sets_and_banks_are_shown_and_hostile_ones_as_text(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        assert "None yet: jobs use the built-in one" in (await service.client.get(DATA)).text
        await service.client.post("/v1/datasets", files={"file": (HOSTILE, b'"Why?"\n"How?"')})
        bank = await service.client.post(
            "/v1/example-banks",
            json={"name": HOSTILE, "refine": False, "examples": [{"query": HOSTILE, "answer": HOSTILE}]},
        )
        assert bank.status_code == 202, bank.text
        listed = await service.client.get(DATA)
        shown = await service.client.get(f"{DATA}/banks/{bank.json()['id']}")
        for answer in (listed, shown):
            assert answer.status_code == 200
            check_page(answer)
            assert "&lt;script&gt;alert(1)" in answer.text
        assert "stored as it is" in listed.text
        assert (await service.client.get(f"{DATA}/banks/ebj_x")).status_code == 404


async def test_health_says_what_is_wrong(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_service(sqlite_url) as service:
        answer = await service.client.get(HEALTH)
        check_page(answer)
        assert ">ready</span>" in answer.text
        assert MODEL in answer.text

        async def check(*_: object) -> Readiness:
            return Readiness(
                status="unavailable",
                checks=Checks(database="ok", schema="outdated", limits="redis_unreachable"),
            )

        monkeypatch.setattr("app.health.endpoints.check_readiness", check)
        unwell = (await service.client.get(HEALTH)).text
        assert ">not ready</span>" in unwell
        assert "run drpo migrate" in unwell
        assert "Redis cannot be reached" in unwell


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("serve", {HEALTH}), ("optimize", {HEALTH, DATA}), ("admin", {HEALTH, DATA, KEYS})],
)
async def test_keys_are_offered_what_they_may_see(sqlite_url: str, scope: str, allowed: set[str]) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        key, _ = await add_key(service.resources.access.keys, scope)
        await sign_in(service.client, key)
        home = (await service.client.get(HEALTH)).text
        for path in (HEALTH, DATA, KEYS):
            assert (f'href="{path}"' in home) == (path in allowed), path
            assert (await service.client.get(path)).status_code == (200 if path in allowed else 403), path
        assert ('aria-label="Backends"' in home) == (scope == "admin")


async def test_changes_of_keys_and_sets_need_the_proof_of_the_page(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        await sign_in(service.client)
        record = (await add_key(service.resources.access.keys, "serve"))[1]
        key = f"/v1/keys/{record.id}"
        proof = await proof_for(service.client)
        file = {"file": ("q.jsonl", b'"Why?"')}
        for headers, expected in (({}, {403}), (proof, {200, 201})):
            made = await service.client.post("/v1/keys", json={"name": "k"}, headers=headers)
            set_ = await service.client.post("/v1/datasets", files=file, headers=headers)
            gone = await service.client.delete(key, headers=headers)
            assert {made.status_code, set_.status_code, gone.status_code} <= expected
