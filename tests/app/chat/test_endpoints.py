"""The chat endpoint on a real application, store and HTTP backend; whole answers."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from app.answer_ids import token_of
from app.labelled_prompts import LabelledPrompts
from app.serving_settings import ChatSettings
from store.connections import Database
from store.errors import StoreUnavailableError
from store.repositories.prompts import PromptRepository
from tests.app.chat.serving import (
    BACKEND_KEY,
    BASE_MODEL,
    EXAMPLES,
    MODEL,
    UPSTREAM_MODEL,
    Service,
    add_version,
    client_of,
    open_service,
    question,
)
from tests.fakes.openai_server import Answer, Drop, Reply, error


def failure(response: httpx.Response) -> dict[str, str | None]:
    """The envelope's content, whose four fields have to be there."""
    body = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    envelope: dict[str, str | None] = body["error"]
    return envelope


async def test_a_model_without_versions_answers_as_it_is(service: Service) -> None:
    response = await service.ask(question(odd={"a": [None, 1.5]}, seed=3))

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-drpo-prompt-version"] == "none"
    assert response.headers["x-drpo-upstream-model"] == UPSTREAM_MODEL
    assert response.headers["x-request-id"]
    assert response.json()["model"] == MODEL
    assert response.json()["choices"][0]["message"]["content"].startswith("an answer")
    assert service.sent.path == "/v1/chat/completions"
    assert service.sent.body == question(odd={"a": [None, 1.5]}, seed=3, model=UPSTREAM_MODEL)


async def test_the_labelled_version_aligns_the_answer_and_is_named(service: Service) -> None:
    version = await add_version(
        service.resources.prompts, "Be kind.", examples=EXAMPLES, sampling={"temperature": 0, "top_p": 1}
    )
    response = await service.ask(question(top_p=0.5))

    assert response.headers["x-drpo-prompt-version"] == version.id
    assert service.sent.body == {
        "model": UPSTREAM_MODEL,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Why is the sky blue?"},
            {"role": "assistant", "content": "Scattering."},
            {"role": "user", "content": "Why is the sea blue?"},
        ],
        "temperature": 0,
        "top_p": 0.5,
    }


@pytest.mark.parametrize("way", ["body", "header"])
async def test_alignment_can_be_switched_off(service: Service, way: str) -> None:
    await add_version(service.resources.prompts)
    if way == "body":
        response = await service.ask(question(drpo={"align": False}))
    else:
        response = await service.ask(question(), x_drpo_align="false")
    assert response.headers["x-drpo-prompt-version"] == "none"
    assert service.sent.body == question(model=UPSTREAM_MODEL)


@pytest.mark.parametrize("way", ["body", "header"])
async def test_a_request_can_pin_a_version(service: Service, way: str) -> None:
    pinned = await add_version(service.resources.prompts, "Be brief.", label=None)
    await add_version(service.resources.prompts, "Be kind.")
    if way == "body":
        response = await service.ask(question(drpo={"prompt_version": pinned.id}))
    else:
        response = await service.ask(question(), x_drpo_prompt_version=pinned.id)
    assert response.headers["x-drpo-prompt-version"] == pinned.id
    assert "Be brief." in str(service.sent.body)


async def test_a_request_can_name_a_label(service: Service) -> None:
    await add_version(service.resources.prompts, "Be kind.")
    candidate = await add_version(service.resources.prompts, "Be brief.", label="candidate")
    response = await service.ask(question(drpo={"label": "candidate"}))
    assert response.headers["x-drpo-prompt-version"] == candidate.id


async def test_an_unknown_label_is_not_found(service: Service) -> None:
    response = await service.ask(question(drpo={"label": "candidate"}))
    assert response.status_code == 404
    assert failure(response).items() >= {"code": "label_not_found", "param": "drpo.label"}.items()


async def test_an_unknown_version_is_not_found(service: Service) -> None:
    response = await service.ask(question(drpo={"prompt_version": "pv_nothing"}))
    assert response.status_code == 404
    assert failure(response)["code"] == "prompt_version_not_found"
    assert service.fake.requests == []


async def test_a_version_of_another_model_is_refused(service: Service) -> None:
    other = await add_version(service.resources.prompts, model=BASE_MODEL)
    response = await service.ask(question(drpo={"prompt_version": other.id}))
    assert response.status_code == 400
    assert failure(response)["param"] == "drpo.prompt_version"
    assert BASE_MODEL in str(failure(response)["message"])


async def test_an_unknown_model_is_not_found_with_a_list_of_those_there_are(service: Service) -> None:
    response = await service.ask(question(model="gpt-nothing"))
    assert response.status_code == 404
    told = failure(response)
    assert told.items() >= {"code": "model_not_found", "param": "model"}.items()
    assert MODEL in str(told["message"])
    assert BASE_MODEL in str(told["message"])


async def test_a_bad_body_is_refused_with_its_field(service: Service) -> None:
    response = await service.ask({"model": MODEL, "messages": []})
    assert response.status_code == 400
    assert failure(response).items() >= {"type": "invalid_request_error", "param": "messages"}.items()


@pytest.mark.parametrize(
    ("configured", "own", "expected"),
    [
        ("before", {}, "THEIRS\n\nOURS"),
        ("before", {"caller_system": "after"}, "OURS\n\nTHEIRS"),
        ("after", {"caller_system": "replace"}, "THEIRS"),
    ],
)
async def test_the_requests_policy_wins_over_the_configured_one(
    sqlite_url: str, configured: str, own: dict[str, str], expected: str
) -> None:
    async with open_service(sqlite_url, chat={"caller_system": configured}) as service:
        await add_version(service.resources.prompts, "OURS")
        messages = [{"role": "system", "content": "THEIRS"}, {"role": "user", "content": "hi"}]
        await service.ask({"model": MODEL, "messages": messages, "drpo": own})
        sent = service.sent.body["messages"]
    assert isinstance(sent, list)
    assert sent[0] == {"role": "system", "content": expected}


async def test_a_model_without_a_system_role_gets_the_prompt_in_the_first_user_message(
    sqlite_url: str,
) -> None:
    async with open_service(sqlite_url, capabilities={"system_role": False}) as service:
        await add_version(service.resources.prompts, "OURS")
        await service.ask(question("hi"))
        assert service.sent.body["messages"] == [{"role": "user", "content": "OURS\n\nhi"}]


async def test_a_model_that_nobody_probed_is_probed_for_its_first_aligned_answer_only(
    sqlite_url: str,
) -> None:
    async with open_service(sqlite_url, capabilities={"seed": None}) as service:
        await service.ask(question())
        assert len(service.fake.requests) == 1
        await add_version(service.resources.prompts)
        service.resources.labelled.invalidate(MODEL)
        await service.ask(question())
        probed = len(service.fake.requests)
        assert probed > 2
        response = await service.ask(question())
    assert response.status_code == 200
    assert len(service.fake.requests) == probed + 1


async def test_a_body_that_is_too_large_is_refused_while_it_comes(sqlite_url: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b" " * 512

    async with open_service(sqlite_url, server={"max_body_bytes": 1024}) as service:
        response = await service.client.post("/v1/chat/completions", content=pieces())
    assert response.status_code == 413
    assert failure(response)["code"] == "body_too_large"


async def test_a_base_model_is_asked_for_a_completion_and_answers_as_chat(service: Service) -> None:
    version = await add_version(service.resources.prompts, "OURS", model=BASE_MODEL)
    response = await service.ask(question("hi", model=BASE_MODEL, n=2))

    assert response.headers["x-drpo-prompt-version"] == version.id
    assert service.sent.path == "/v1/completions"
    assert service.sent.body["prompt"] == "# Instruction:\nOURS\n\n# Query:\nhi\n\n# Answer:\n"
    answer = response.json()
    assert (answer["object"], answer["model"]) == ("chat.completion", BASE_MODEL)
    assert [choice["message"]["role"] for choice in answer["choices"]] == ["assistant", "assistant"]


async def test_the_id_that_the_backend_reports_goes_to_the_header(service: Service) -> None:
    service.fake.push(Answer(body={"model": "vendor-model-1-0613", "choices": []}))
    response = await service.ask(question())
    assert response.json() == {"model": MODEL, "choices": [], "id": response.json()["id"]}
    assert response.headers["x-drpo-upstream-model"] == "vendor-model-1-0613"


async def test_every_answer_has_an_id_of_its_own_whatever_the_backend_calls_it(service: Service) -> None:
    service.fake.push(*[Answer(body={"id": "chatcmpl-0", "choices": []}) for _ in range(2)])
    first, second = [(await service.ask(question())).json()["id"] for _ in range(2)]
    assert first != second
    assert token_of(first) != token_of(second)
    assert None not in {token_of(first), token_of(second)}


async def test_a_429_is_passed_on_with_its_patience(service: Service) -> None:
    service.fake.push(error(429, "slow down", retry_after="7"))
    response = await service.ask(question())
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert failure(response)["code"] == "rate_limit_exceeded"
    assert len(service.fake.requests) == 1


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (error(400, "too long"), 400, "backend_refused"),
        (error(422, "too odd"), 422, "backend_refused"),
        (error(500, "oops"), 503, "backend_unavailable"),
        (Drop(), 503, "backend_unavailable"),
        (Answer(body=b"<html>"), 502, "backend_malformed"),
        (Answer(body={"object": "x"}), 502, "backend_malformed"),
        (Answer(body={"error": {"message": "in 200"}}), 503, "backend_unavailable"),
        (error(404, "no such model", code="model_not_found"), 502, "backend_misconfigured"),
    ],
)
async def test_a_backends_failure_has_its_status(
    service: Service, reply: Reply, status: int, code: str
) -> None:
    service.fake.push(reply)
    response = await service.ask(question())
    assert response.status_code == status
    assert failure(response)["code"] == code


async def test_a_refused_backend_key_is_our_fault_and_never_shown(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKEND_TEST_KEY", BACKEND_KEY)
    async with open_service(sqlite_url, backend={"api_key_env": "BACKEND_TEST_KEY"}) as service:
        service.fake.push(error(401, f"Incorrect API key provided: {BACKEND_KEY}", code="invalid_api_key"))
        response = await service.ask(question())
        assert service.sent.headers["authorization"] == f"Bearer {BACKEND_KEY}"
    assert response.status_code == 502
    assert failure(response)["code"] == "backend_misconfigured"
    assert BACKEND_KEY not in response.text


async def test_a_key_is_wanted_where_one_is_configured(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-ours-0123456789abcdef"}) as service:
        refused = await service.ask(question())
        assert refused.status_code == 401
        assert failure(refused)["code"] == "invalid_api_key"
        assert service.fake.requests == []
        accepted = await service.ask(question(), authorization="Bearer sk-ours-0123456789abcdef")
        assert accepted.status_code == 200
        assert "authorization" not in service.sent.headers  # the caller's key is ours, not the backend's


@pytest.mark.parametrize("has_release", [False, True])
async def test_labels_that_are_too_old_are_a_503_and_named_versions_go_on(
    service: Service, monkeypatch: pytest.MonkeyPatch, *, has_release: bool
) -> None:
    version = await add_version(service.resources.prompts)
    labelled, book = service.resources.labelled, service.resources.release_control.book
    if has_release:
        answer = await service.client.put(f"/v1/releases/{MODEL}", json={})
        assert answer.status_code == 200
    assert (await service.ask(question())).status_code == 200

    async def away(*_arguments: object) -> None:
        raise StoreUnavailableError("gone")

    now = time.monotonic()
    monkeypatch.setattr(labelled._prompts, "labels", away)
    monkeypatch.setattr(book, "refresh", away)
    for known in (labelled, book):
        monkeypatch.setattr(known, "_clock", lambda: now + 299)
    assert (await service.ask(question())).status_code == 200
    for known in (labelled, book):
        monkeypatch.setattr(known, "_clock", lambda: now + 302)
    refused = await service.ask(question())
    assert refused.status_code == 503
    assert failure(refused)["code"] == "labels_stale"
    assert refused.headers["retry-after"] == "5"
    pinned = await service.ask(question(drpo={"prompt_version": version.id}))
    assert pinned.headers["x-drpo-prompt-version"] == version.id


async def test_no_database_connection_is_held_while_the_model_answers(service: Service) -> None:
    versions = [
        await add_version(service.resources.prompts, f"prompt {place}", label=None) for place in range(3)
    ]
    narrow = Database(str(service.resources.database.url), pool_size=1)
    prompts = PromptRepository(narrow)
    resources = dataclasses.replace(
        service.resources,
        database=narrow,
        prompts=prompts,
        labelled=LabelledPrompts(prompts, service.resources.labelled._retrievers, ChatSettings()),
    )
    gate = asyncio.Event()
    service.fake.script = lambda _: Answer(body={"choices": []}, gate=gate)
    try:
        async with client_of(resources) as client, asyncio.TaskGroup() as group:
            asking = [
                group.create_task(
                    client.post("/v1/chat/completions", json=question(drpo={"prompt_version": version.id}))
                )
                for version in versions
            ]
            # with one connection in all, the second request could not come this far
            await service.fake.until(lambda: service.fake.in_flight == 3)
            assert (await client.get("/readyz")).status_code == 200
            gate.set()
    finally:
        await narrow.close()
    assert [task.result().status_code for task in asking] == [200, 200, 200]


async def test_the_documentation_knows_the_request_and_its_answers(service: Service) -> None:
    document = (await service.client.get("/openapi.json")).json()
    operation = document["paths"]["/v1/chat/completions"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["messages"]  # prompt may say for which model it is
    assert set(schema["properties"]["drpo"]["properties"]) == {
        "prompt_version",
        "label",
        "align",
        "caller_system",
        "k",
        "examples",
        "best_of",
    }
    assert [item["name"] for item in operation["parameters"]] == ["x-drpo-prompt-version", "x-drpo-align"]
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert {"400", "401", "404", "429", "502", "503"} <= set(operation["responses"])
