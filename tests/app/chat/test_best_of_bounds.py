"""What best-of-N costs, what bounds it, and who may ask for it."""

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
from optimizer.types import JsonObject
from tests.app.chat.drafted import Roles, draft, targets_with, text_of
from tests.app.chat.serving import (
    BASE_MODEL,
    Service,
    open_service,
    question,
)
from tests.fakes.openai_server import Answer, error


@pytest.mark.parametrize("stream", [False, True])
async def test_drafts_that_were_not_all_counted_count_by_their_length(sqlite_url: str, stream: bool) -> None:
    async with open_service(sqlite_url, capabilities={"n": False}) as service:
        found: list[Outcome] = []
        service.resources.outcomes.listen(found.append)
        uncounted = Answer(body={"model": "m", "choices": [draft("Poor.")]})
        service.fake.script = Roles((draft("Fair enough."), uncounted, draft("The best of all.")))
        response = await service.ask(question(drpo={"best_of": 3}, stream=stream))
        assert "The best of all." in response.text
        assert '"usage"' not in response.text
        (outcome,) = found
        assert outcome.estimated
        # four calls of the roles with four tokens each, and three drafts of more than thirty bytes
        assert outcome.counted.completion_tokens > 4 * 4 + 3 * 8


async def test_a_draft_that_was_lost_may_be_billed(sqlite_url: str) -> None:
    async with open_service(sqlite_url, capabilities={"n": False}) as service:
        found: list[Outcome] = []
        service.resources.outcomes.listen(found.append)
        service.fake.script = Roles((draft("Poor."), Answer(body=b"{")))
        text_of(await service.ask(question(drpo={"best_of": 2}, max_tokens=500)))
        service.fake.script = Roles((draft("Poor."), error(503)))
        text_of(await service.ask(question(drpo={"best_of": 2}, max_tokens=500)))
        garbled, refused = found
        assert garbled.counted.completion_tokens == 504
        assert refused.counted.completion_tokens == 4


async def test_plain_completions_have_no_drafts(service: Service) -> None:
    body = {"model": BASE_MODEL, "prompt": "Why?", "drpo": {"best_of": 2}}
    response = await service.client.post("/v1/completions", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "drpo.best_of"


async def test_drafts_and_judge_are_counted_with_the_request(sqlite_url: str) -> None:
    prices: JsonObject = {"price": {"input_per_million": 1.0, "output_per_million": 2.0}}
    async with open_service(sqlite_url, backend=prices) as service:
        service.fake.script = Roles()
        found: list[Outcome] = []
        service.resources.outcomes.listen(found.append)
        text_of(await service.ask(question(drpo={"best_of": 3})))
        (outcome,) = found
        # the request for the drafts, the selector's and three of the judge's, each of USAGE
        assert outcome.counted.prompt_tokens == 50
        assert outcome.counted.completion_tokens == 20
        assert outcome.micros == 90


async def test_money_bounds_drafts_and_judge(sqlite_url: str) -> None:
    prices: JsonObject = {"price": {"input_per_million": 0.0, "output_per_million": 1.0}}
    for max_cost, drafts in ((1e-9, None), (0.00025, "2")):
        targets = targets_with(drafts=3, max_cost=max_cost)
        async with open_service(sqlite_url, backend=prices, targets=targets) as service:
            service.fake.script = roles = Roles()
            response = await service.ask(question(max_tokens=100))
            assert response.headers.get("x-drpo-drafts") == drafts
            # a judgement could cost more than is left
            assert not roles.judged
            assert text_of(response) == "Fair enough."


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
