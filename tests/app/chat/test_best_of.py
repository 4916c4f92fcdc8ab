"""Best-of-N: several drafts, of which the judge picks one, and what happens where it cannot."""

import asyncio
import json

import pytest

from optimizer.types import JsonValue
from tests.app.chat.drafted import DRAFTS, USAGE, Roles, draft, said, targets_with, text_of
from tests.app.chat.serving import (
    BASE_MODEL,
    MODEL,
    UPSTREAM_MODEL,
    Service,
    add_version,
    open_service,
    question,
)
from tests.fakes.openai_server import Answer, Exchange, Reply, error, well_behaved


async def test_the_judge_picks_the_best_of_several_drafts(service: Service) -> None:
    service.fake.script = roles = Roles()
    response = await service.ask(question(drpo={"best_of": 3}))
    assert text_of(response) == "The best of all."
    assert response.headers["x-drpo-drafts"] == "3"
    assert response.headers["x-drpo-picked"] == "judge"
    assert response.json()["model"] == MODEL
    assert sorted(roles.judged) == sorted(DRAFTS)
    assert roles.criteria == 1
    (asked,) = [sent.body for sent in service.fake.requests if sent.body["model"] == UPSTREAM_MODEL]
    assert asked["n"] == 3
    assert asked["temperature"] == 0.7


async def test_a_backend_that_writes_one_answer_at_a_time_is_asked_for_each(sqlite_url: str) -> None:
    async with open_service(sqlite_url, capabilities={"n": False}) as service:
        service.fake.script = Roles()
        response = await service.ask(question(drpo={"best_of": 3}, seed=7, temperature=1.1))
        assert text_of(response) == "The best of all."
        assert response.json()["usage"] == {
            "prompt_tokens": 30,
            "completion_tokens": 12,
            "total_tokens": 42,
        }
        asked = [sent.body for sent in service.fake.requests if sent.body["model"] == UPSTREAM_MODEL]
        assert sorted(str(body["seed"]) for body in asked) == ["7", "8", "9"]
        assert all("n" not in body and body["temperature"] == 1.1 for body in asked)


async def test_a_draft_that_fails_is_left_out_and_one_is_enough(sqlite_url: str) -> None:
    async with open_service(sqlite_url, capabilities={"n": False}) as service:
        service.fake.script = Roles((error(500), draft("Fair enough."), error(503)))
        response = await service.ask(question(drpo={"best_of": 3}))
        assert text_of(response) == "Fair enough."
        assert response.headers["x-drpo-drafts"] == "1"
        assert response.headers["x-drpo-picked"] == "first"


async def test_drafts_that_all_fail_are_the_failure_of_the_request(sqlite_url: str) -> None:
    async with open_service(sqlite_url, capabilities={"n": False}) as service:
        service.fake.script = Roles((error(503), error(503)))
        response = await service.ask(question(drpo={"best_of": 2}))
        assert response.status_code == 503
        assert "x-drpo-drafts" not in response.headers


async def test_what_cannot_be_read_is_no_draft(sqlite_url: str) -> None:
    async with open_service(sqlite_url, capabilities={"n": False}) as service:
        service.fake.script = Roles((Answer(body=b"{"), draft("Poor."), Answer(body=[1])))
        assert text_of(await service.ask(question(drpo={"best_of": 3}))) == "Poor."
        for stream in (False, True):
            service.fake.script = Roles((Answer(body=b"{"), Answer(body={"choices": 3})))
            response = await service.ask(question(drpo={"best_of": 2}, stream=stream))
            assert response.status_code == 502


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"choices": []}', b'{"choices": 3}', b'{"choices": [1]}'])
async def test_an_answer_without_a_draft_is_the_backends_failure(
    service: Service, body: bytes, stream: bool
) -> None:
    service.fake.script = Roles((Answer(body=body), Answer()))
    response = await service.ask(question(drpo={"best_of": 2}, stream=stream))
    assert response.status_code == 502, response.text
    assert response.json()["error"]["code"] == "backend_malformed"


async def test_half_a_character_in_a_draft_is_read_as_elsewhere(service: Service) -> None:
    text = rb'{"choices": [{"message": {"content": "a\ud800"}}, {"message": {"content": ""}}]}'
    service.fake.script = Roles((Answer(body=text), Answer()))
    assert text_of(await service.ask(question(drpo={"best_of": 2}))) == "a\ufffd"


async def test_a_draft_without_text_is_not_the_answer_where_another_has_one(service: Service) -> None:
    service.fake.script = roles = Roles((draft(""), draft("Poor."), draft("Fair enough.")))
    assert text_of(await service.ask(question(drpo={"best_of": 3}))) == "Fair enough."
    assert sorted(roles.judged) == ["Fair enough.", "Poor."]


async def test_a_model_that_takes_no_temperature_gets_none(sqlite_url: str) -> None:
    async with open_service(sqlite_url, capabilities={"sampling": False}) as service:
        service.fake.script = Roles()
        text_of(await service.ask(question(drpo={"best_of": 3})))
        asked = next(sent.body for sent in service.fake.requests if sent.body["model"] == UPSTREAM_MODEL)
        assert "temperature" not in asked


async def test_the_largest_seed_has_drafts_too(sqlite_url: str) -> None:
    async with open_service(sqlite_url, capabilities={"n": False}) as service:
        service.fake.script = Roles()
        assert text_of(await service.ask(question(drpo={"best_of": 3}, seed=2**64 - 1))) == "The best of all."


async def test_scores_that_came_in_time_count(sqlite_url: str) -> None:
    targets = targets_with(drafts=3, max_seconds=1.0)
    async with open_service(sqlite_url, targets=targets) as service:
        roles = Roles()

        def script(exchange: Exchange) -> Reply:
            hangs = exchange.body["model"] == "critic" and "| Poor." in str(exchange.body["messages"])
            return Answer(gate=asyncio.Event()) if hangs else roles(exchange)

        service.fake.script = script
        response = await service.ask(question())
        assert text_of(response) == "The best of all."
        assert response.headers["x-drpo-picked"] == "judge"


@pytest.mark.parametrize("reply", [error(500), error(401), Answer(body=b"{"), said({"scores": "none"})])
async def test_the_first_draft_is_the_answer_where_nothing_can_be_judged(
    service: Service, reply: Reply
) -> None:
    service.fake.script = roles = Roles()
    roles.judge = reply
    response = await service.ask(
        question(drpo={"best_of": 3}), x_client_request_id="retries take longer than the limit"
    )
    assert text_of(response) == "Fair enough."
    assert response.headers["x-drpo-picked"] == "first"


async def test_nobody_waits_for_a_judge_beyond_the_limit(sqlite_url: str) -> None:
    targets = targets_with(drafts=3, max_seconds=0.5)
    async with open_service(sqlite_url, targets=targets) as service:
        service.fake.script = roles = Roles()
        roles.judge = Answer(gate=asyncio.Event())
        response = await service.ask(question())
        assert text_of(response) == "Fair enough."
        assert roles.judged


async def test_drafts_that_come_too_late_are_left_out(sqlite_url: str) -> None:
    targets = targets_with(drafts=3, max_seconds=0.5)
    async with open_service(sqlite_url, targets=targets, capabilities={"n": False}) as service:
        hanging = Answer(gate=asyncio.Event())
        service.fake.script = Roles((hanging, draft("Poor."), draft("The best of all.")))
        response = await service.ask(question())
        assert response.headers["x-drpo-drafts"] == "2"
        assert text_of(response) in {"Poor.", "The best of all."}  # what is left of the time may end at once


async def test_the_first_draft_is_waited_for(sqlite_url: str) -> None:
    targets = targets_with(drafts=2, max_seconds=0.01)
    async with open_service(sqlite_url, targets=targets, capabilities={"n": False}) as service:
        gate = asyncio.Event()
        usual = Roles((draft("Poor."), draft("Poor.")))

        def script(exchange: Exchange) -> Reply:
            answer = usual(exchange)
            assert isinstance(answer, Answer)
            asyncio.get_running_loop().call_later(0.1, gate.set)
            return Answer(body=answer.body, gate=gate)

        service.fake.script = script
        assert text_of(await service.ask(question())) == "Poor."


async def test_a_stream_begins_with_the_draft_that_was_picked(service: Service) -> None:
    service.fake.script = Roles()
    body = question(drpo={"best_of": 3}, stream=True, stream_options={"include_usage": True})
    response = await service.ask(body)
    assert response.headers["x-drpo-picked"] == "judge"
    *frames, last = [line[6:] for line in response.text.split("\n") if line.startswith("data: ")]
    assert last == "[DONE]"
    events = [json.loads(frame) for frame in frames]
    assert {event["model"] for event in events} == {MODEL}
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": "The best of all."}
    assert events[1]["choices"][0]["finish_reason"] == "stop"
    assert events[2]["choices"] == []
    assert events[2]["usage"] == USAGE
    quiet = Roles()
    service.fake.script = quiet
    response = await service.ask(question(drpo={"best_of": 3}, stream=True))
    assert '"usage"' not in response.text


async def test_a_base_model_writes_drafts_as_well(service: Service) -> None:
    def script(exchange: Exchange) -> Reply:
        if exchange.path.endswith("/completions") and "prompt" in exchange.body:
            choices: list[JsonValue] = [
                {"index": place, "text": text, "finish_reason": "stop"} for place, text in enumerate(DRAFTS)
            ]
            return Answer(body={"model": "m", "choices": choices, "usage": USAGE})
        return judge(exchange)

    judge = Roles()
    service.fake.script = script
    for stream in (False, True):
        response = await service.ask(question(model=BASE_MODEL, drpo={"best_of": 3}, stream=stream))
        assert response.status_code == 200
        assert "The best of all." in response.text
        assert response.headers["x-drpo-picked"] == "judge"


async def test_drafts_that_call_tools_or_are_all_the_same_are_not_judged(service: Service) -> None:
    call: JsonValue = [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    for drafts in (
        (draft("Fair enough.", tool_calls=call), draft("Poor.")),
        (draft("Poor."), draft("Poor.")),
        (draft("Poor.", tool_calls=call), draft("")),
    ):
        service.fake.script = roles = Roles(drafts)
        response = await service.ask(question(drpo={"best_of": 2}))
        assert text_of(response) == "Poor."
        assert response.headers["x-drpo-picked"] == "first"
        assert not roles.judged


async def test_an_aligned_request_keeps_the_sampling_of_its_version(service: Service) -> None:
    await add_version(service.resources.prompts, sampling={"temperature": 0.4})
    service.fake.script = Roles()
    text_of(await service.ask(question(drpo={"best_of": 3})))
    asked = next(sent.body for sent in service.fake.requests if sent.body["model"] == UPSTREAM_MODEL)
    assert asked["temperature"] == 0.4


async def test_settings_ask_for_drafts_and_a_request_can_do_without(sqlite_url: str) -> None:
    async with open_service(sqlite_url, targets=targets_with(drafts=3)) as service:
        service.fake.script = Roles()
        assert text_of(await service.ask(question())) == "The best of all."
        service.fake.script = well_behaved
        response = await service.ask(question(drpo={"best_of": 1}))
        assert "x-drpo-drafts" not in response.headers
        assert service.sent.body.get("n") is None
