"""What serving costs is told from what answers took."""

import dataclasses

from app.jobs.serving_cost import serving_cost
from app.llm.prices import Price
from optimizer.types import (
    BeamPath,
    Candidate,
    Completion,
    Evaluation,
    Query,
    Rollout,
    Scored,
    SearchResult,
    Step,
    StopReason,
    Usage,
)

SEED = Candidate(id="c0", system_prompt="Hi.")
BEST = Candidate(id="c1.0.0", system_prompt="Be kind and clear.", parent_id="c0", round=1)
PRICE = Price(input_per_million=2.0, output_per_million=10.0)


def _evaluation(candidate: Candidate, number: int, usage: Usage | None) -> Evaluation:
    query = Query(id=f"q{number}", text=f"What is {number}?")
    rollout = Rollout(
        candidate_id=candidate.id, query=query, completion=Completion(text="That."), usage=usage
    )
    return Evaluation(round=1, rollout=rollout, score=Scored(reward=4.0, criteria=()))


def _found(*steps: Step) -> SearchResult:
    return SearchResult(
        best=BEST,
        best_reward=4.0,
        seed_prompt=SEED,
        beam=(BeamPath(steps=steps), BeamPath(steps=steps)),
        finalists=(),
        rounds=1,
        stop_reason=StopReason.BUDGET,
        unscored=0,
        evaluations=4,
    )


def test_both_prompts_are_told_for_a_thousand_requests_each_answer_counted_once() -> None:
    usages = [Usage(prompt_tokens=100, completion_tokens=10), Usage(prompt_tokens=300, completion_tokens=30)]
    found = _found(
        Step(candidate=SEED, evaluations=(_evaluation(SEED, 1, Usage(prompt_tokens=10)),)),
        Step(
            candidate=BEST, evaluations=tuple(_evaluation(BEST, at, item) for at, item in enumerate(usages))
        ),
    )
    told = serving_cost(found, PRICE)
    assert told["seed_prompt"] == {
        "characters": 3,
        "prompt_tokens": 10_000,
        "completion_tokens": 0,
        "cost": 0.02,
    }
    assert told["best"] == {
        "characters": 18,
        "prompt_tokens": 200_000,
        "completion_tokens": 20_000,
        "cost": 0.6,
    }


def test_where_no_answer_said_its_usage_the_cost_is_unknown_not_nothing() -> None:
    found = _found(Step(candidate=BEST, evaluations=(_evaluation(BEST, 1, None),)))
    unknown = {"prompt_tokens": None, "completion_tokens": None, "cost": None}
    assert serving_cost(found, PRICE)["best"] == {"characters": 18, **unknown}
    nothing = dataclasses.replace(found, beam=())
    assert serving_cost(nothing, PRICE)["seed_prompt"] == {"characters": 3, **unknown}
