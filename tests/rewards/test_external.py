"""The user's own scorer: what it is sent, and how its reply is read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from optimizer.errors import BackendUnavailableError, MisconfiguredError, RequestRefusedError
from optimizer.types import (
    Completion,
    CompletionRequest,
    CompletionResult,
    CriterionScore,
    Query,
    ScoreSource,
    Unscored,
)
from rewards.external import ANSWERED, ExternalScorer, Scale
from tests.fakes.chat_model import ScriptedModel
from tests.rewards.builders import listed, own

QUERY = Query(id="q1", text="How do I boil an egg?", kind="help")


class Service(ScriptedModel):
    """A service that replies with ``text`` and says how it ended."""

    def __init__(self, text: str, finish_reason: str = ANSWERED) -> None:
        super().__init__([text])
        self._finish_reason = finish_reason

    @override
    def _result(self, request: CompletionRequest, reply: Any) -> CompletionResult:
        completion = Completion(text=str(reply), finish_reason=self._finish_reason)
        return CompletionResult(completions=(completion,), usage=None, model="s", seconds=0)


async def score(text: str, scale: Scale = Scale.ONE_TO_FIVE, **fields: Any) -> CriterionScore | Unscored:
    scorer = ExternalScorer(model=Service(text, **fields), name="Tone", weight=2, scale=scale)
    return await scorer.score(QUERY, "An answer.", {})


async def test_the_service_is_sent_query_kind_answer_and_criteria() -> None:
    service = Service('{"score": 3}')
    scorer = ExternalScorer(model=service, name="Tone")
    await scorer.score(
        QUERY, "Half a \ud83d character", {listed("Depth"): 2.0, own("Egg Lore", "Eggs."): 1.0}
    )
    (request,) = service.requests
    assert isinstance(request.prompt, str)
    assert json.loads(request.prompt) == {
        "query": "How do I boil an egg?",
        "kind": "help",
        "answer": "Half a \ud83d character",
        "criteria": [
            {"name": "Depth", "description": listed("Depth").scoring, "weight": 2.0},
            {"name": "Egg Lore", "description": "Eggs.", "weight": 1.0},
        ],
    }
    request.prompt.encode()
    assert request.seed is None  # so that equal answers are one call


async def test_a_score_and_its_reason_are_a_criterion_of_the_answer() -> None:
    assert await score('{"score": 3.5, "rationale": "fine\\u0000", "more": 1}') == CriterionScore(
        criterion="Tone", score=3.5, rationale="fine", weight=2, source=ScoreSource.HTTP
    )


@pytest.mark.parametrize(("given_", "read"), [(0, 1), (1, 5), (0.25, 2), (0.5, 3)])
async def test_a_score_from_0_to_1_is_put_on_the_scale(given_: float, read: float) -> None:
    found = await score(json.dumps({"score": given_, "rationale": 7}), Scale.ZERO_TO_ONE)
    assert isinstance(found, CriterionScore)
    assert (found.score, found.rationale) == (read, "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Tone: the reply is no JSON"),
        ("[" * 100_000, "Tone: the reply is no JSON"),
        ("3", "Tone: the reply is no JSON object"),
        ("{}", "Tone: `score` has to be a number from 1 to 5"),
        ('{"score": 7}', "Tone: `score` has to be a number from 1 to 5"),
        ('{"score": 0.5}', "Tone: `score` has to be a number from 1 to 5"),
        ('{"score": true}', "Tone: `score` has to be a number from 1 to 5"),
        ('{"score": "4"}', "Tone: `score` has to be a number from 1 to 5"),
        ('{"score": NaN}', "Tone: `score` has to be a number from 1 to 5"),
        ('{"score": 1' + "0" * 400 + "}", "Tone: `score` has to be a number from 1 to 5"),
    ],
)
async def test_anything_else_is_no_score_and_never_a_low_one(text: str, reason: str) -> None:
    assert await score(text) == Unscored(reason=reason)


async def test_a_refusal_is_no_score_with_the_reason() -> None:
    found = await score("too long\x00", finish_reason="it answered 422")
    assert found == Unscored(reason="Tone: it answered 422: too long")
    scorer = ExternalScorer(model=ScriptedModel([RequestRefusedError("no", backend="b")]), name="Tone")
    assert await scorer.score(QUERY, "A.", {}) == Unscored(reason="Tone: no")


@pytest.mark.parametrize(
    "error",
    [MisconfiguredError("no such service", backend="b"), BackendUnavailableError("gone", backend="b")],
)
async def test_what_ends_a_run_is_raised(error: Exception) -> None:
    scorer = ExternalScorer(model=ScriptedModel([error]), name="Tone")
    with pytest.raises(type(error)):
        await scorer.score(QUERY, "A.", {})


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["score", "rationale", "x"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(st.one_of(st.text(max_size=100), VALUES.map(json.dumps)), st.sampled_from(list(Scale)))
async def test_no_reply_raises_and_no_missing_score_is_a_number(text: str, scale: Scale) -> None:
    found = await score(text, scale)
    if isinstance(found, Unscored):
        assert found.reason.startswith("Tone: ")
        found.reason.encode()
    else:
        assert 1 <= found.score <= 5
        assert "\x00" not in found.rationale
        found.rationale.encode()
