"""Trying to read and to use what a key may not, on every route of the OpenAPI document.

Scopes are in ``tests/app/test_scopes.py``, which walks all routes as well.
"""

import base64
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest

from app.access.key_text import digest_of, new_key, prefix_of
from app.auth import required_scopes
from app.main import create_app
from tests.app.access.forbidden import (
    ADMIN,
    EMBEDDER,
    FOREIGN,
    FOREIGN_PROMPT,
    FOREIGN_UPSTREAM,
    OWN,
    UNKNOWN,
    Place,
    Premises,
    open_premises,
    places_of,
)
from tests.app.access.stored_keys import add_key, bearer

INNOCENT: Final = {
    "bank_id",
    "candidate_id",
    "dataset_id",
    "delivery_id",
    "key_id",
    "label",
    "version_id",
    "webhook_id",
}
"""Parameters of paths that belong to no model, or stand behind one that does."""
STREAMS: Final = "/events"


@pytest.fixture
async def premises(database_url: str) -> AsyncIterator[Premises]:
    async with open_premises(database_url) as opened:
        yield opened


async def places(premises: Premises) -> list[Place]:
    document = (await premises.service.client.get("/openapi.json")).json()
    return list(places_of(document))


async def test_the_document_has_every_route_and_every_parameter_is_sorted(premises: Premises) -> None:
    found = await places(premises)
    assert len(found) > 40
    told = {f"{place.method} {place.path}" for place in found}
    served = {
        f"{method} {path.replace(':path}', '}')}"
        for route in required_scopes(create_app(premises.service.resources))
        for methods, path in [route.split(" ")]
        for method in methods.split("|")
        if method != "HEAD"
    }
    assert told == served
    assert {param for place in found for param in place.params} == INNOCENT | set(UNKNOWN)


def forgeries(good: str, other: str) -> list[dict[str, str]]:
    """Headers that hold no key, though parts of good ones, or hold a good one where none belongs."""
    prefix, others = prefix_of(good), prefix_of(other)
    assert prefix is not None
    assert others is not None
    keys = [
        new_key(),
        f"{prefix}_{good[-43:][::-1]}",
        good.replace(prefix, others),
        good[:-1],
        f"{good}x",
        good.upper(),
        good.replace("_", "-"),
        prefix,
        digest_of(good),
        f"{good},{good}",
        "",
        "null",
        "local",
        "api_key",
        "sk-admin-012345678",
        "sk-admin-0123456789x",
        "' OR 1=1 --",
    ]
    return [
        {},
        *map(bearer, keys),
        {"authorization": good},
        {"authorization": f"Basic {base64.b64encode(f'x:{good}'.encode()).decode()}"},
        {"authorization": f"Token {good}"},
        {"x-api-key": good},
        {"api-key": good},
        {"cookie": f"authorization=Bearer {good}"},
    ]


async def test_no_route_takes_a_key_that_is_none(premises: Premises) -> None:
    service, keys = premises.service, premises.service.resources.access.keys
    good, record = await add_key(keys, "admin")
    expired, _ = await add_key(keys, "admin", expires_at=time.time() + 0.001)
    revoked, gone = await add_key(keys, "admin")
    assert (await service.client.get("/v1/keys", headers=bearer(revoked))).status_code == 200
    await service.client.delete(f"/v1/keys/{gone.id}", headers=ADMIN)
    bad = [*map(bearer, [expired, revoked, record.digest, record.id]), *forgeries(good, revoked)]
    before = await premises.snapshot()
    for place in await places(premises):
        for headers in bad:
            answer = await premises.send(place, premises.own, headers)
            assert answer.status_code == 401, (place, headers, answer.text)
            error = answer.json()["error"]
            assert error["code"] == "invalid_api_key"
            assert good not in answer.text
    assert (await service.client.get(f"/v1/keys?api_key={good}&key={good}")).status_code == 401
    assert service.fake.requests == []
    assert await premises.snapshot() == before
    assert (await service.client.get("/v1/keys", headers=bearer(good))).status_code == 200


async def test_what_belongs_to_another_model_is_to_a_key_as_if_it_were_not_there(premises: Premises) -> None:
    before, tried = await premises.snapshot(), 0
    for place in await places(premises):
        for param in set(place.params) & set(UNKNOWN):
            secret = {**premises.own, param: premises.foreign[param]}
            nothing = {**premises.own, param: UNKNOWN[param]}
            answers = [await premises.send(place, values, premises.key) for values in (secret, nothing)]
            assert [answer.status_code for answer in answers] == [404, 404], (place, answers[0].text)
            hidden, missing = (
                answer.text.replace(values[param], "X")
                for answer, values in zip(answers, (secret, nothing), strict=True)
            )
            assert hidden == missing, place
            tried += 1
    assert tried > 20
    assert await premises.snapshot() == before
    assert premises.service.fake.requests == []


async def test_the_same_requests_do_something_for_a_key_that_may(premises: Premises) -> None:
    found = await places(premises)
    for place in sorted(found, key=lambda place: place.method == "DELETE"):
        if set(place.params) & set(UNKNOWN) and not place.path.endswith(STREAMS):
            answer = await premises.send(place, premises.foreign, ADMIN)
            assert answer.status_code not in {400, 401, 403, 404, 422}, (place, answer.text)


async def test_a_version_or_a_job_of_another_model_is_not_reached_through_a_model_of_one_s_own(
    premises: Premises,
) -> None:
    service, own, secret = premises.service, premises.own, premises.foreign
    unknown = "pv_000000000000000000000000"
    before = await premises.snapshot()

    async def same(method: str, path: str, **fields: Any) -> None:
        texts = []
        for version in (secret["version_id"], unknown):
            body = {name: (version if value == "VERSION" else value) for name, value in fields.items()}
            sent = {"json": body} if body else {}
            url = path.replace("VERSION", version)
            answer = await service.client.request(method, url, headers=premises.key, **sent)  # type: ignore[arg-type]
            assert answer.status_code == 404, answer.text
            texts.append(answer.text.replace(version, "X"))
        assert texts[0] == texts[1]

    await same("GET", f"/v1/prompts/{OWN}/versions/VERSION")
    await same("PUT", f"/v1/prompts/{OWN}/labels/production", version="VERSION", reason="r")
    after = f"/v1/optimizations?after={secret['optimization_id']}"
    none = f"/v1/optimizations?after={UNKNOWN['optimization_id']}"
    pages = [await service.client.get(path, headers=premises.key) for path in (after, none)]
    assert [page.status_code for page in pages] == [404, 404]
    mine = await service.client.get(f"/v1/optimizations?after={own['optimization_id']}", headers=premises.key)
    assert mine.json()["data"] == []
    assert await premises.snapshot() == before


async def test_nothing_that_a_key_can_read_speaks_of_another_model(premises: Premises) -> None:
    client, key = premises.service.client, premises.key
    await client.post(f"/v1/optimizations/{premises.own['optimization_id']}/cancel", headers=key)
    secrets = [premises.foreign[param] for param in ("model", "version_id", "optimization_id", "schedule_id")]
    secrets += [FOREIGN_PROMPT, FOREIGN_UPSTREAM]
    read = 0
    for place in await places(premises):
        if place.method == "GET":
            answer = await premises.send(place, premises.own, key)
            read += answer.status_code == 200
            assert answer.status_code in {200, 403}, (place, answer.text)
            assert not [text for text in secrets if text in answer.text], place
    assert read > 15
    everything = await client.get("/v1/optimizations", headers=ADMIN)
    assert premises.foreign["optimization_id"] in everything.text


SPELLINGS: Final = (
    FOREIGN,
    FOREIGN.upper(),
    FOREIGN.title(),
    f" {FOREIGN}",
    f"{FOREIGN} ",
    f"{FOREIGN}\n",
    f"{FOREIGN}/",
    f"/{FOREIGN}",
    f"./{FOREIGN}",
    f"{OWN}/../{FOREIGN}",
    f"{OWN},{FOREIGN}",
    f"{FOREIGN}\0",
    f"{FOREIGN}\u200b",
    "org%2Fbase",
    "org\u2215base",
    "\uff4frg/base",
    FOREIGN_UPSTREAM,
    f"upstream/{FOREIGN_UPSTREAM}",
    f"upstream/{FOREIGN}",
    "*",
    "",
    "base",
)
WITHOUT_MODEL: Final = {"/v1/evaluations", "/v1/datasets", "/v1/example-banks", "/v1/webhooks", "/v1/keys"}
ODD: Final[tuple[Any, ...]] = ([FOREIGN], {"id": FOREIGN}, None, True, 0)


async def test_another_model_is_reached_by_no_spelling_on_any_route(premises: Premises) -> None:
    before, tried = await premises.snapshot(), 0
    for place in await places(premises):
        if place.method == "POST" and not place.params and place.path not in WITHOUT_MODEL:
            for spelling in (*SPELLINGS, *ODD):
                values: Any = {**premises.own, "model": spelling}
                answer = await premises.send(place, values, premises.key)
                assert answer.status_code in {400, 404}, (place, spelling, answer.text)
                assert FOREIGN_UPSTREAM not in answer.text or FOREIGN_UPSTREAM in str(spelling)
                tried += 1
    assert tried >= 7 * len(SPELLINGS)
    assert premises.service.fake.requests == []
    assert await premises.snapshot() == before


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": OWN, "messages": [{"role": "user", "content": "hi"}], **fields}


async def test_another_model_s_prompt_aligns_no_answer(premises: Premises) -> None:
    client, key = premises.service.client, premises.key
    secret, unknown = premises.foreign["version_id"], "pv_000000000000000000000000"
    without_model = {"messages": [{"role": "user", "content": "hi"}]}
    words = {}
    for version in (secret, unknown):
        asked: list[httpx.Response] = [
            await client.post("/v1/chat/completions", json=body, headers={**key, **headers})
            for body, headers in (
                (chat(drpo={"prompt_version": version}), {}),
                (chat(), {"x-drpo-prompt-version": version}),
                (chat(prompt={"id": version}), {}),
                ({**without_model, "prompt": {"id": version}}, {}),
            )
        ]
        asked += [
            await client.post("/v1/responses", json={"input": "hi", **body}, headers=key)
            for body in ({"model": OWN, "prompt": {"id": version}}, {"prompt": {"id": version}})
        ]
        assert {answer.status_code for answer in asked} == {404}, [answer.text for answer in asked]
        words[version] = [answer.text.replace(version, "X") for answer in asked]
    assert words[secret] == words[unknown]
    assert not [text for text in words[secret] if FOREIGN in text]
    for body in (chat(prompt={"id": FOREIGN}), {**without_model, "prompt": {"id": FOREIGN}}):
        refused = await client.post("/v1/chat/completions", json=body, headers=key)
        assert refused.status_code == 404
    assert premises.service.fake.requests == []


async def test_what_is_asked_for_twice_in_one_body_is_what_is_checked(premises: Premises) -> None:
    client, fake = premises.service.client, premises.service.fake
    rest = '"messages": [{"role": "user", "content": "hi"}]'
    for first, second in ((OWN, FOREIGN), (FOREIGN, OWN)):
        content = f'{{"model": "{first}", "mod\\u0065l": "{second}", {rest}}}'
        answer = await client.post("/v1/chat/completions", content=content, headers=premises.key)
        assert answer.status_code == (200 if second == OWN else 404)
    assert [request.body["model"] for request in fake.requests] == ["vendor-model-1"]


async def test_jobs_are_not_turned_to_another_model(premises: Premises) -> None:
    client, key, own = premises.service.client, premises.key, premises.own
    before = await premises.snapshot()
    job = {"target": FOREIGN, "queries": ["a", "b", "c"], "held_out": 0, "examples": []}
    for method, path, body in (
        ("POST", f"/v1/optimizations/{own['optimization_id']}/clone", {"target": FOREIGN}),
        ("PATCH", f"/v1/schedules/{own['schedule_id']}", {"request": job}),
        ("POST", "/v1/optimizations", job),
    ):
        texts = []
        for target in (FOREIGN, UNKNOWN["model"]):
            sent = {**body, "target": target} if "target" in body else {"request": {**job, "target": target}}
            answer = await client.request(method, path, json=sent, headers=key)
            assert answer.status_code == 400, answer.text
            texts.append(answer.text.replace(target, "X"))
        assert texts[0] == texts[1]
    assert await premises.snapshot() == before


async def test_a_reused_idempotency_key_names_a_job_only_to_who_may_see_it(premises: Premises) -> None:
    client = premises.service.client
    job: dict[str, Any] = {"queries": ["a", "b", "c"], "held_out": 0, "examples": []}

    async def make(target: str, headers: dict[str, str]) -> httpx.Response:
        sent = headers | {"idempotency-key": "mine"}
        return await client.post("/v1/optimizations", json=job | {"target": target}, headers=sent)

    made = await make(FOREIGN, ADMIN)
    assert made.status_code == 202, made.text

    told, secret = await make(OWN, ADMIN), await make(OWN, premises.key)
    own = premises.own["optimization_id"]
    copied = await client.post(
        f"/v1/optimizations/{own}/clone", json={}, headers=premises.key | {"idempotency-key": "mine"}
    )

    for refused in (told, secret, copied):
        assert refused.status_code == 422
        assert refused.json()["error"]["code"] == "idempotency_key_reused"
    assert made.json()["id"] in told.text
    assert "opt_" not in secret.text + copied.text


async def test_the_embedder_and_the_own_model_answer(premises: Premises) -> None:
    client = premises.service.client
    answer = await client.post("/v1/chat/completions", json=chat(), headers=premises.key)
    assert answer.status_code == 200
    embedded = {"model": EMBEDDER, "input": "hi"}
    sent = await client.post("/v1/embeddings", json=embedded, headers=premises.key)
    assert premises.service.fake.requests[-1].body["model"] == "vendor-embedder-1", sent.text


ODD_NAMES: Final = (
    "%00",
    "a%00b",
    "x" * 5000,
    "%2e%2e",
    "%ed%a0%80",
    "\u00e9",
    "' OR 1=1 --",
    "%25",
    "9" * 40,
)


async def test_odd_names_in_paths_and_queries_are_refused_and_are_no_bug(premises: Premises) -> None:
    client = premises.service.client
    for place in await places(premises):
        for param in place.params:
            for name in ODD_NAMES:
                answer = await premises.send(place, {**premises.own, param: name}, ADMIN)
                assert answer.status_code < 500, (place, name, answer.text)
    paths = (
        "/v1/optimizations?after=",
        "/v1/example-banks?after=",
        "/v1/keys?after=",
        "/v1/usage?key_id=",
        f"/v1/optimizations/{premises.own['optimization_id']}/evaluations?candidate_id=",
        f"/v1/example-banks/{premises.own['bank_id']}/answers?example_id=",
        f"/v1/webhooks/{premises.own['webhook_id']}/deliveries?after=",
    )
    for path in paths:
        for name in ODD_NAMES:
            answer = await client.get(path + name, headers=ADMIN)
            assert answer.status_code < 500, (path, name, answer.text)
