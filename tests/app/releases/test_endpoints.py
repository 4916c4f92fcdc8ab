"""Releases from end to end: requests are split, counted, rolled back, undone."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.resources import Resources
from store.connections import Database
from store.errors import StoreUnavailableError
from store.records.prompts import LabelMoveDraft
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import MODEL, Service, add_version, open_service, question
from tests.fakes.openai_server import Answer, error

BASE = f"/v1/releases/{MODEL}"
GOOD = Answer(
    body={"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
)


async def put(service: Service, **policy: object) -> dict[str, Any]:
    response = await service.client.put(BASE, json=policy)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def shown(service: Service) -> dict[str, Any]:
    """The release, with all that was heard so far."""
    await settled(service.resources)
    found: dict[str, Any] = (await service.client.get(BASE)).json()
    return found


async def settled(resources: Resources) -> None:
    await resources.release_control.counter.flush()
    await resources.access.recorder.flush()


async def two_versions(service: Service) -> tuple[str, str]:
    prompts = service.resources.prompts
    first = await add_version(prompts, "first")
    second = await add_version(prompts, "second", label="candidate")
    return first.id, second.id


async def ask(service: Service, user: str | None = None, **fields: object) -> httpx.Response:
    service.fake.push(GOOD)
    named = {} if user is None else {"user": user}
    return await service.ask({**question(), **named, **fields})


async def test_a_canary_splits_users_and_says_so(service: Service) -> None:
    first, second = await two_versions(service)
    await put(service, canary={"weight": 0.5})
    seen = {}
    for number in range(20):
        user = f"user-{number}"
        answers = [await ask(service, user) for _ in range(2)]
        headers = [answer.headers for answer in answers]
        assert headers[0]["x-drpo-arm"] == headers[1]["x-drpo-arm"]
        version = {"production": first, "candidate": second}[headers[0]["x-drpo-arm"]]
        assert headers[0]["x-drpo-prompt-version"] == version
        told = {first: "first", second: "second"}[version]
        assert _system(service) == told
        seen[user] = headers[0]["x-drpo-arm"]
    assert set(seen.values()) == {"production", "candidate"}

    release = await shown(service)
    counted = {arm["label"]: arm["requests"] for arm in release["arms"]}
    candidates = [user for user, arm in seen.items() if arm == "candidate"]
    assert counted == {"candidate": 2 * len(candidates), "production": 40 - 2 * len(candidates)}
    assert [arm["share"] for arm in release["arms"]] == [0.5, 0.5]

    await put(service, canary={"weight": 0.8})
    for user in candidates:
        assert (await ask(service, user)).headers["x-drpo-arm"] == "candidate"


async def test_every_answer_is_logged_with_its_propensity(service: Service) -> None:
    await two_versions(service)
    await put(service, canary={"weight": 0.25})
    ids = [(await ask(service, f"u{number}")).json()["id"] for number in range(6)]
    service.fake.push(error(500, "no"))
    assert (await service.ask(question())).status_code == 503
    await settled(service.resources)
    page = (await service.client.get(f"{BASE}/answers?limit=4")).json()
    rest = (await service.client.get(f"{BASE}/answers?after={page['data'][-1]['id']}")).json()
    assert (page["has_more"], rest["has_more"]) == (True, False)
    logged = page["data"] + rest["data"]
    assert [item["answer"] for item in logged[:6]] == [name.removeprefix("chatcmpl-") for name in ids]
    assert {item["propensity"] for item in logged} <= {0.25, 0.75}
    assert all(item["propensity"] == {"candidate": 0.25, "production": 0.75}[item["arm"]] for item in logged)
    assert [item["outcome"] for item in logged] == ["answered"] * 6 + ["failed"]


async def test_who_names_a_version_or_a_label_is_not_reassigned(service: Service) -> None:
    first, second = await two_versions(service)
    await put(service, canary={"weight": 1.0})
    for options, version in (
        ({"prompt_version": first}, first),
        ({"label": "production"}, first),
        ({"label": "candidate"}, second),
        ({"align": False}, "none"),
    ):
        response = await ask(service, drpo=options)
        assert response.headers["x-drpo-prompt-version"] == version
        assert "x-drpo-arm" not in response.headers
    assert (await ask(service)).headers["x-drpo-arm"] == "candidate"
    assert (await shown(service))["arms"][0]["requests"] == 1


async def test_a_header_or_a_conversation_or_a_key_may_be_sticky(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-admin-0123456789"}) as service:
        service.client.headers.update(bearer("sk-admin-0123456789"))
        await two_versions(service)
        keys = [(await add_key(service.resources.access.keys))[0] for _ in range(12)]

        async def arms(headers: dict[str, str], texts: list[str]) -> list[str]:
            found = []
            for asked in texts:
                service.fake.push(GOOD)
                body = question(asked)
                answer = await service.client.post("/v1/chat/completions", json=body, headers=headers)
                found.append(answer.headers["x-drpo-arm"])
            return found

        await put(service, canary={"weight": 0.5})
        for number in range(5):
            assert len(set(await arms({"x-drpo-sticky-key": f"s{number}"}, ["a", "b", "c", "d"]))) == 1
        await put(service, canary={"weight": 0.5}, sticky="api_key")
        by_key = [await arms(bearer(key), ["a", "b"]) for key in keys]
        assert all(len(set(found)) == 1 for found in by_key)
        assert len({found[0] for found in by_key}) == 2
        await put(service, canary={"weight": 0.5}, sticky="conversation")
        texts = [f"text {number}" for number in range(12)]
        assert await arms({}, texts) == await arms({}, texts)
        assert len(set(await arms({}, texts))) == 2


@pytest.mark.parametrize("failure", [error(500, "broken"), error(400, "too long with this prompt")])
async def test_a_candidate_that_fails_is_rolled_back_once_and_that_can_be_undone(
    service: Service, failure: Answer
) -> None:
    first, second = await two_versions(service)
    await put(service, canary={"weight": 0.5}, rollback={"min_requests": 20, "dwell_seconds": 30})
    for number in range(120):
        user = f"user-{number}"
        arm = service.resources.release_control.book.plan(MODEL)
        assert arm is not None
        is_candidate = (
            arm.draw(f"user:0:{user}", service.resources.release_control.book.chance)[0].label == "candidate"
        )
        service.fake.push(failure if is_candidate else GOOD)
        await service.ask(question(user=user))
    await settled(service.resources)
    watch, database = service.resources.release_control.watch, service.resources.database

    await watch.look()
    release = await shown(service)
    assert release["suspect_since"] is not None  # it has to look bad for a while
    assert release["arms"][0]["version"] == second
    await passed(database, 31)
    await asyncio.gather(*(watch.look() for _ in range(4)))
    await watch.look()

    release = await shown(service)
    assert (release["arms"][0]["version"], release["suspect_since"]) == (first, None)
    assert release["quiet_until"] is not None
    moves = (await service.client.get(f"/v1/prompts/{MODEL}/label-moves")).json()["data"]
    assert [move["actor"] for move in moves] == ["release", "test", "test"]
    assert "requests failed (at least" in moves[0]["reason"]
    await service.resources.release_control.book.refresh()
    assert (await ask(service, "user-1")).headers["x-drpo-prompt-version"] == first

    undone = await service.client.post(f"/v1/prompts/{MODEL}/labels/candidate/undo")
    assert undone.json()["to_version"] == second
    await watch.look()
    assert (await shown(service))["suspect_since"] is None  # evidence begins anew


async def test_feedback_rolls_a_promotion_back(service: Service) -> None:
    prompts = service.resources.prompts
    first = await add_version(prompts, "first")
    await put(service, rollback={"min_requests": 10, "dwell_seconds": 0})

    async def rate(score: float, times: int) -> None:
        for _ in range(times):
            answer = (await ask(service)).json()["id"]
            await settled(service.resources)
            said = {"response_id": answer, "score": score}
            assert (await service.client.post("/v1/feedback", json=said)).json()["status"] == "counted"

    await rate(1, 25)
    second = await add_version(prompts, "second", label=None)
    await prompts.move_label(
        LabelMoveDraft(model=MODEL, label="production", version_id=second.id, actor="opt_1", reason="gate")
    )
    await service.resources.release_control.book.refresh()
    await rate(-1, 25)
    await service.resources.release_control.watch.look()
    (label,) = await prompts.labels(MODEL)
    assert label.version_id == first.id
    await service.resources.release_control.watch.look()
    assert len(await prompts.label_history(MODEL)) == 3


async def test_a_shadow_gets_copies_and_the_caller_nothing_of_them(service: Service) -> None:
    await add_version(service.resources.prompts, "first")
    shadow = await add_version(service.resources.prompts, "second", label="shadow")
    await put(service, shadow={"share": 1.0, "max_requests": 2})
    service.fake.push(GOOD, error(500, "the shadow is broken"))
    response = await service.ask(question(n=3, user="u"))
    assert response.status_code == 200
    assert response.headers["x-drpo-arm"] == "production"
    await copies(service)
    assert _system(service) == "second"
    assert "n" not in service.sent.body
    release = await shown(service)
    assert release["shadow"]["version"] == shadow.id
    assert (release["shadow"]["requests"], release["shadow"]["errors"]) == (1, 1)
    assert [arm["requests"] for arm in release["arms"]] == [1]
    answers = (await service.client.get(f"{BASE}/answers")).json()["data"]
    assert [item["arm"] for item in answers] == ["production"]


async def test_a_bandit_learns_from_feedback(service: Service) -> None:
    await two_versions(service)
    await put(service, bandit={"labels": ["candidate"], "min_share": 0.1})
    for number in range(30):
        answer = await ask(service, f"u{number}")
        await settled(service.resources)
        score = 1 if answer.headers["x-drpo-arm"] == "candidate" else -1
        said = {"response_id": answer.json()["id"], "score": score}
        assert (await service.client.post("/v1/feedback", json=said)).status_code == 200
    await service.resources.release_control.book.refresh()
    release = await shown(service)
    assert release["arms"][0]["share"] == pytest.approx(0.9, abs=0.01)
    assert release["arms"][1]["share"] == pytest.approx(0.1, abs=0.01)
    await ask(service)
    await settled(service.resources)
    last = (await service.client.get(f"{BASE}/answers")).json()["data"][-1]
    assert last["propensity"] == pytest.approx({"candidate": 0.9, "production": 0.1}[last["arm"]], abs=0.01)


async def test_a_release_is_ended_and_its_history_stays(service: Service) -> None:
    await put(service, canary={"weight": 0.5})
    assert [item["model"] for item in (await service.client.get("/v1/releases")).json()["data"]] == [MODEL]
    assert (await service.client.delete(BASE)).status_code == 204
    for response in (await service.client.delete(BASE), await service.client.get(BASE)):
        assert response.status_code == 404
    assert "x-drpo-arm" not in (await ask(service)).headers
    changes = (await service.client.get(f"{BASE}/changes")).json()["data"]
    assert [change["policy"] and change["policy"]["canary"] for change in changes] == [
        None,
        {"label": "candidate", "weight": 0.5},
    ]


async def test_a_change_that_is_made_is_no_failure_where_it_cannot_be_read_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_versions(service)

    async def away() -> None:
        raise StoreUnavailableError("gone")

    monkeypatch.setattr(service.resources.release_control.book, "refresh", away)
    made = await put(service, canary={"weight": 0.5})
    assert [(arm["label"], arm["share"]) for arm in made["arms"]] == [("candidate", 0.5), ("production", 0.5)]
    assert made == await shown(service)
    assert (await service.client.delete(BASE)).status_code == 204


async def test_a_policy_of_a_newer_version_hides_no_other_release(service: Service) -> None:
    releases = service.resources.release_control.releases
    await releases.put(MODEL, {"sticky": "the moon"}, actor="ann")
    await releases.put("org/base", {"canary": {"weight": 0.5, "colour": "red"}, "new": 1}, actor="ann")
    (listed,) = (await service.client.get("/v1/releases")).json()["data"]
    assert (listed["model"], listed["policy"]["canary"]["weight"]) == ("org/base", 0.5)
    refused = await service.client.get(BASE)
    assert refused.status_code == 409
    assert "newer version" in refused.json()["error"]["message"]
    (change,) = (await service.client.get(f"{BASE}/changes")).json()["data"]
    assert change["policy"] == {"sticky": "the moon"}
    assert (await put(service, canary={"weight": 0.1}))["policy"]["sticky"] == "user"


async def test_models_with_slashes_have_releases_and_others_are_refused(service: Service) -> None:
    path = "/v1/releases/org/base"
    assert (await service.client.put(path, json={"canary": {"weight": 0.1}})).status_code == 200
    assert (await service.client.get(path)).json()["model"] == "org/base"
    assert (await service.client.get(f"{path}/changes")).json()["data"][0]["actor"] == "local"
    unknown = await service.client.put("/v1/releases/nobody", json={})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    wrong = await service.client.put(path, json={"canary": {"weight": 2}})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "canary.weight")


async def test_a_key_sees_the_releases_of_its_own_models_alone(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-admin-0123456789"}) as service:
        service.client.headers.update(bearer("sk-admin-0123456789"))
        await put(service, canary={"weight": 0.5})
        key, _ = await add_key(service.resources.access.keys, "optimize", models=("org/base",))
        for method, path in (("GET", BASE), ("PUT", BASE), ("DELETE", BASE), ("GET", f"{BASE}/answers")):
            sent: object = {} if method == "PUT" else None
            response = await service.client.request(method, path, headers=bearer(key), json=sent)
            assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
        listed = await service.client.get("/v1/releases", headers=bearer(key))
        assert listed.json()["data"] == []
        assert len((await service.client.get("/v1/releases")).json()["data"]) == 1


async def test_a_target_whose_settings_name_a_version_takes_no_release(sqlite_url: str) -> None:
    targets = {MODEL: {"backend": "upstream", "model": "m", "alignment": {"label": "mine"}}}
    async with open_service(sqlite_url, targets=targets) as service:
        refused = await service.client.put(BASE, json={})
        assert refused.status_code == 400
        assert "[targets.tuned.alignment]" in refused.json()["error"]["message"]


async def copies(service: Service) -> None:
    """Wait for copies under way."""
    await asyncio.wait(service.resources.release_control.shadows._tasks)


async def passed(database: Database, seconds: float) -> None:
    """Let time pass for a suspicion."""
    async with database.session() as session:
        await session.execute(text(f"UPDATE releases SET suspect_since = suspect_since - {seconds}"))  # noqa: S608


def _system(service: Service) -> object:
    messages: Any = service.sent.body["messages"]
    return messages[0]["content"]
