"""Best-of-N: several drafts, of which the judge picks one, and what happens where it cannot."""

import asyncio
import json
from collections.abc import Mapping

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.drafts import affordable
from app.chat.picking import spoken
from app.chat.policy import best_of
from app.chat.schemas import AlignmentOptions
from app.errors import ApiError
from app.outcomes import Outcome
from app.serving_settings import AlignmentSettings, BestOfSettings
from optimizer.types import JsonObject, JsonValue
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

DRAFTS = ("Fair enough.", "The best of all.", "Poor.")
SCORES: Mapping[str, float] = {"Fair enough.": 3, "The best of all.": 5, "Poor.": 1}
USAGE: JsonObject = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


def draft(text: str, place: int = 0, **message: JsonValue) -> JsonObject:
    """A choice that says ``text``."""
    return {
        "index": place,
        "message": {"role": "assistant", "content": text, **message},
        "finish_reason": "stop",
    }


class Roles:
    """A backend whose target writes drafts in turn, and whose judge knows what each is worth."""

    def __init__(self, drafts: tuple[JsonObject | Reply, ...] = ()) -> None:
        self.judged: list[str] = []
        self.criteria = 0
        self.judge: Reply | None = None
        self._drafts = list(drafts or [draft(text, place) for place, text in enumerate(DRAFTS)])

    def __call__(self, exchange: Exchange) -> Reply:
        if exchange.body["model"] == "critic":
            return self._critic(str(exchange.body["messages"]))
        count = exchange.body.get("n")
        taken = [self._drafts.pop(0) for _ in range(count if isinstance(count, int) else 1)]
        if not isinstance(taken[0], dict):
            return taken[0]
        choices: list[JsonValue] = [choice for choice in taken if isinstance(choice, dict)]
        return Answer(body={"id": "c-9", "created": 3, "model": "m", "choices": choices, "usage": USAGE})

    def _critic(self, messages: str) -> Reply:
        if "score an answer" not in messages:
            self.criteria += 1
            chosen: JsonValue = {
                "criteria": [{"name": "Helpfulness", "reason": "it helps"}],
                "rationale": "so",
            }
            return _said(chosen)
        text = next(text for text in SCORES if f"| {text}" in messages)
        self.judged.append(text)
        if self.judge is not None:
            return self.judge
        return _said({"scores": [{"criterion": "Helpfulness", "rationale": "r", "score": SCORES[text]}]})


def _said(value: JsonValue) -> Reply:
    return Answer(body={"model": "m", "choices": [draft(json.dumps(value))], "usage": USAGE})


def _text(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    (choice,) = response.json()["choices"]
    assert choice["index"] == 0
    return str(choice["message"]["content"])


async def test_the_judge_picks_the_best_of_several_drafts(service: Service) -> None:
    service.fake.script = roles = Roles()
    response = await service.ask(question(drpo={"best_of": 3}))
    assert _text(response) == "The best of all."
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
        assert _text(response) == "The best of all."
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
        assert _text(response) == "Fair enough."
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
        assert _text(await service.ask(question(drpo={"best_of": 3}))) == "Poor."
        service.fake.script = Roles((Answer(body=b"{"), Answer(body={"choices": 3})))
        assert (await service.ask(question(drpo={"best_of": 2}))).status_code == 502


@pytest.mark.parametrize("reply", [error(500), error(401), Answer(body=b"{"), _said({"scores": "none"})])
async def test_the_first_draft_is_the_answer_where_nothing_can_be_judged(
    service: Service, reply: Reply
) -> None:
    service.fake.script = roles = Roles()
    roles.judge = reply
    response = await service.ask(
        question(drpo={"best_of": 3}), x_client_request_id="retries take longer than the limit"
    )
    assert _text(response) == "Fair enough."
    assert response.headers["x-drpo-picked"] == "first"


async def test_nobody_waits_for_a_judge_beyond_the_limit(sqlite_url: str) -> None:
    targets = _targets(drafts=3, max_seconds=0.5)
    async with open_service(sqlite_url, targets=targets) as service:
        service.fake.script = roles = Roles()
        roles.judge = Answer(gate=asyncio.Event())
        response = await service.ask(question())
        assert _text(response) == "Fair enough."
        assert roles.judged


async def test_drafts_that_come_too_late_are_left_out(sqlite_url: str) -> None:
    targets = _targets(drafts=3, max_seconds=0.5)
    async with open_service(sqlite_url, targets=targets, capabilities={"n": False}) as service:
        hanging = Answer(gate=asyncio.Event())
        service.fake.script = Roles((hanging, draft("Poor."), draft("The best of all.")))
        response = await service.ask(question())
        assert response.headers["x-drpo-drafts"] == "2"
        assert _text(response) in {"Poor.", "The best of all."}  # what is left of the time may end at once


async def test_the_first_draft_is_waited_for(sqlite_url: str) -> None:
    targets = _targets(drafts=2, max_seconds=0.01)
    async with open_service(sqlite_url, targets=targets, capabilities={"n": False}) as service:
        gate = asyncio.Event()
        usual = Roles((draft("Poor."), draft("Poor.")))

        def script(exchange: Exchange) -> Reply:
            answer = usual(exchange)
            assert isinstance(answer, Answer)
            asyncio.get_running_loop().call_later(0.1, gate.set)
            return Answer(body=answer.body, gate=gate)

        service.fake.script = script
        assert _text(await service.ask(question())) == "Poor."


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
        (draft("Poor.", tool_calls=call), draft("Fair enough.")),
        (draft("Poor."), draft("Poor.")),
    ):
        service.fake.script = roles = Roles(drafts)
        response = await service.ask(question(drpo={"best_of": 2}))
        assert _text(response) == "Poor."
        assert response.headers["x-drpo-picked"] == "first"
        assert not roles.judged


async def test_drafts_and_judge_are_counted_with_the_request(sqlite_url: str) -> None:
    prices: JsonObject = {"price": {"input_per_million": 1.0, "output_per_million": 2.0}}
    async with open_service(sqlite_url, backend=prices) as service:
        service.fake.script = Roles()
        found: list[Outcome] = []
        service.resources.outcomes.listen(found.append)
        _text(await service.ask(question(drpo={"best_of": 3})))
        (outcome,) = found
        # the request for the drafts, the selector's and three of the judge's, each of USAGE
        assert outcome.counted.prompt_tokens == 50
        assert outcome.counted.completion_tokens == 20
        assert outcome.micros == 90


async def test_money_bounds_drafts_and_judge(sqlite_url: str) -> None:
    prices: JsonObject = {"price": {"input_per_million": 0.0, "output_per_million": 1.0}}
    for max_cost, drafts in ((1e-9, None), (0.00025, "2")):
        targets = _targets(drafts=3, max_cost=max_cost)
        async with open_service(sqlite_url, backend=prices, targets=targets) as service:
            service.fake.script = roles = Roles()
            response = await service.ask(question(max_tokens=100))
            assert response.headers.get("x-drpo-drafts") == drafts
            # a judgement could cost more than is left
            assert not roles.judged
            assert _text(response) == "Fair enough."


async def test_an_aligned_request_keeps_the_sampling_of_its_version(service: Service) -> None:
    await add_version(service.resources.prompts, sampling={"temperature": 0.4})
    service.fake.script = Roles()
    _text(await service.ask(question(drpo={"best_of": 3})))
    asked = next(sent.body for sent in service.fake.requests if sent.body["model"] == UPSTREAM_MODEL)
    assert asked["temperature"] == 0.4


async def test_settings_ask_for_drafts_and_a_request_can_do_without(sqlite_url: str) -> None:
    async with open_service(sqlite_url, targets=_targets(drafts=3)) as service:
        service.fake.script = Roles()
        assert _text(await service.ask(question())) == "The best of all."
        service.fake.script = well_behaved
        response = await service.ask(question(drpo={"best_of": 1}))
        assert "x-drpo-drafts" not in response.headers
        assert service.sent.body.get("n") is None


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"drpo": {"best_of": 9}}, "drpo.best_of"),
        ({"drpo": {"best_of": 0}}, "drpo.best_of"),
        ({"drpo": {"best_of": 2}, "n": 2}, "n"),
        ({"drpo": {"best_of": 2}, "temperature": 0}, "temperature"),
        ({"drpo": {"best_of": 2}, "tools": [{"type": "function"}]}, "tools"),
    ],
)
async def test_what_leaves_nothing_to_choose_is_refused(
    service: Service, body: dict[str, object], named: str
) -> None:
    response = await service.ask(question() | body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == named
    assert not service.fake.requests


def test_settings_give_way_to_what_a_request_says() -> None:
    settings = AlignmentSettings(best_of=BestOfSettings(drafts=4))
    usual: JsonObject = {"temperature": 0.2, "n": 1}
    assert best_of(AlignmentOptions(), settings, body=usual, most_drafts=1) == settings.best_of
    for name, value in {"n": 2, "temperature": 0, "tools": [1], "functions": [1]}.items():
        body: JsonObject = {name: value}  # type: ignore[dict-item]
        assert best_of(AlignmentOptions(), settings, body=body, most_drafts=8) is None
    asked = best_of(AlignmentOptions(best_of=2), AlignmentSettings(), body={}, most_drafts=2)
    assert asked == BestOfSettings(drafts=2)
    with pytest.raises(ApiError, match="none here"):
        best_of(AlignmentOptions(best_of=2), AlignmentSettings(), body={}, most_drafts=1)


@given(st.integers(2, 16), st.floats(0, 10), st.none() | st.floats(0.001, 100))
def test_as_many_drafts_as_can_be_paid(count: int, draft_cost: float, max_cost: float | None) -> None:
    found = affordable(count, draft_cost=draft_cost, max_cost=max_cost)
    assert 1 <= found <= count
    if max_cost is not None and found > 1:
        assert found * draft_cost <= max_cost * (1 + 1e-9)
    if max_cost is None or count * draft_cost <= max_cost * (1 - 1e-9):
        assert found == count


def test_a_judge_reads_the_question_or_the_whole_conversation() -> None:
    system: JsonObject = {"role": "system", "content": "Be kind."}
    first: JsonObject = {"role": "user", "content": "Why?"}
    assert spoken([system, first]) == "Why?"
    later: list[JsonObject] = [{"role": "assistant", "content": "So."}, {"role": "user", "content": "And?"}]
    assert spoken([system, first, *later]) == "user: Why?\n\nassistant: So.\n\nuser: And?"


def _targets(**best_of: object) -> dict[str, object]:
    return {
        MODEL: {"backend": "upstream", "model": UPSTREAM_MODEL, "alignment": {"best_of": best_of}},
    }
