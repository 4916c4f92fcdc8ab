"""Search events as JSON."""

import json

import pytest

from app.jobs.event_bodies import criteria_body, event_body, event_type
from optimizer.events import (
    CandidateDropped,
    CandidateKept,
    CandidateProposed,
    EvaluationFinished,
    FinalistsCompared,
    GateFinished,
    GateStarted,
    JudgeChecked,
    ProposalFailed,
    RankedPath,
    RoundFinished,
    RoundStarted,
    SearchEvent,
    SearchFinished,
    SearchStarted,
)
from optimizer.reliability import JudgeReport
from optimizer.types import (
    Candidate,
    Completion,
    CriterionScore,
    Evaluation,
    JsonObject,
    Query,
    Rollout,
    Score,
    Scored,
    SearchResult,
    StopReason,
    Unscored,
)
from optimizer.verdicts import Conclusion, FinalistResult, GroupDifference, PairedDifference, Verdict

SEED = Candidate(id="c0", system_prompt="Be kind.")
CHILD = Candidate(id="c1.0.0", system_prompt="Be exact.", parent_id="c0", round=1, rationale="shorter")
SCORED = Scored(
    reward=3.5,
    criteria=(CriterionScore(criterion="Safety", score=3.5, rationale="fine"),),
    selection_rationale="x",
)
NOTHING_COMPARED: JsonObject = {
    "candidate_id": None,
    "queries": 0,
    "missing": 0,
    "baseline_reward": None,
    "candidate_reward": None,
    "difference": None,
    "low": None,
    "high": None,
    "groups": [],
    "obstacle": None,
    "turned_unsafe": [],
}
GAIN = PairedDifference(pairs=8, mean=0.5, low=0.25, high=0.75)
RESULT = FinalistResult(
    candidate_id="c1.0.0",
    reward=3.5,
    baseline_reward=3.0,
    missing=1,
    gain=GAIN,
    groups=(GroupDifference(group="safety", pairs=3, difference=-0.5, most=-0.1, is_loss=True),),
    obstacle="worse on safety",
    is_worse_somewhere=True,
    turned_unsafe=("q7",),
)
RESULT_BODY: JsonObject = {
    "candidate_id": "c1.0.0",
    "queries": 8,
    "missing": 1,
    "baseline_reward": 3.0,
    "candidate_reward": 3.5,
    "difference": 0.5,
    "low": 0.25,
    "high": 0.75,
    "groups": [{"group": "safety", "queries": 3, "difference": -0.5, "at_most": -0.1, "is_loss": True}],
    "obstacle": "worse on safety",
    "turned_unsafe": ["q7"],
}
REPORT = JudgeReport(
    answers=16,
    unscored_share=0.0,
    judged_again=10,
    agreement=0.8,
    mean_absolute_difference=0.2,
    order_effect=0.1,
    length_bias=None,
    saturated_share=0.5,
    tied_share=0.25,
)


def evaluated(score: Score) -> EvaluationFinished:
    """An evaluation of the child with ``score``."""
    rollout = Rollout(
        candidate_id="c1.0.0",
        query=Query(id="q1", text="Why?"),
        completion=Completion(text="So.", finish_reason="stop"),
        seed=1,
    )
    return EvaluationFinished(evaluation=Evaluation(round=1, rollout=rollout, score=score))


EVENTS: list[tuple[SearchEvent, str, JsonObject]] = [
    (
        SearchStarted(seed_prompt=SEED, max_rounds=2, queries=3),
        "search_started",
        {"candidate_id": "c0", "max_rounds": 2, "queries": 3},
    ),
    (RoundStarted(round=1, query_ids=("q1",)), "round_started", {"round": 1, "query_ids": ["q1"]}),
    (
        CandidateKept(round=1, slot=0, candidate_id="c0", reason="easy"),
        "candidate_kept",
        {"round": 1, "slot": 0, "candidate_id": "c0", "reason": "easy"},
    ),
    (
        CandidateProposed(candidate=CHILD, template_version="t1"),
        "candidate_proposed",
        {
            "candidate_id": "c1.0.0",
            "parent_id": "c0",
            "round": 1,
            "rationale": "shorter",
            "system_prompt": "Be exact.",
        },
    ),
    (
        ProposalFailed(round=1, parent_id="c0", proposal_slot=2, reason="no JSON"),
        "proposal_failed",
        {"round": 1, "parent_id": "c0", "proposal_slot": 2, "reason": "no JSON"},
    ),
    (
        evaluated(SCORED),
        "evaluation_finished",
        {"candidate_id": "c1.0.0", "query_id": "q1", "round": 1, "reward": 3.5, "unscored_reason": None},
    ),
    (
        evaluated(Unscored(reason="the judge refused")),
        "evaluation_finished",
        {
            "candidate_id": "c1.0.0",
            "query_id": "q1",
            "round": 1,
            "reward": None,
            "unscored_reason": "the judge refused",
        },
    ),
    (
        CandidateDropped(
            round=1, candidate_id="c1.0.0", reason="unpromising", leader_id="c0", pairs=0, difference=None
        ),
        "candidate_dropped",
        {
            "round": 1,
            "candidate_id": "c1.0.0",
            "reason": "unpromising",
            "leader_id": "c0",
            "pairs": 0,
            "difference": None,
        },
    ),
    (
        FinalistsCompared(
            round=2,
            first_id="c0",
            second_id="c1.0.0",
            pairs=4,
            uncompared=1,
            preference=0.5,
            winner_id="c1.0.0",
        ),
        "finalists_compared",
        {
            "round": 2,
            "first_id": "c0",
            "second_id": "c1.0.0",
            "pairs": 4,
            "uncompared": 1,
            "preference": 0.5,
            "winner_id": "c1.0.0",
        },
    ),
    (
        RoundFinished(
            round=1,
            ranking=(RankedPath(candidate_id="c1.0.0", reward=None, round_reward=None, kept=True),),
            rounds_left=4,
        ),
        "round_finished",
        {
            "round": 1,
            "rounds_left": 4,
            "ranking": [{"candidate_id": "c1.0.0", "reward": None, "round_reward": None, "kept": True}],
        },
    ),
    (
        SearchFinished(
            result=SearchResult(
                finalists=(),
                best=CHILD,
                best_reward=3.5,
                seed_prompt=SEED,
                beam=(),
                rounds=2,
                stop_reason=StopReason.DEPTH,
                unscored=1,
                evaluations=7,
            )
        ),
        "search_finished",
        {
            "stop_reason": "depth",
            "best_candidate_id": "c1.0.0",
            "best_reward": 3.5,
            "rounds": 2,
            "evaluations": 7,
            "unscored": 1,
        },
    ),
    (
        GateStarted(incumbent=SEED, finalists=(CHILD,), seed_prompt=None, queries=8),
        "gate_started",
        {"incumbent_id": "c0", "candidate_ids": ["c1.0.0"], "seed_prompt_id": None, "queries": 8},
    ),
    (
        GateStarted(incumbent=CHILD, finalists=(CHILD,), seed_prompt=SEED, queries=8),
        "gate_started",
        {"incumbent_id": "c1.0.0", "candidate_ids": ["c1.0.0"], "seed_prompt_id": "c0", "queries": 8},
    ),
    (
        JudgeChecked(report=REPORT),
        "judge_checked",
        {
            "answers": 16,
            "unscored_share": 0.0,
            "judged_again": 10,
            "agreement": 0.8,
            "mean_absolute_difference": 0.2,
            "order_effect": 0.1,
            "length_bias": None,
            "saturated_share": 0.5,
            "tied_share": 0.25,
        },
    ),
    (
        GateFinished(conclusion=Conclusion(verdict=Verdict.KEPT, reason="nothing better")),
        "gate_finished",
        {
            "verdict": "kept",
            "reason": "nothing better",
            **NOTHING_COMPARED,
            "queries_needed": None,
            "seed_gain": None,
            "finalists": [],
            "warnings": [],
        },
    ),
    (
        GateFinished(
            conclusion=Conclusion(
                verdict=Verdict.NOT_ENOUGH_EVIDENCE,
                reason="more",
                chosen=RESULT,
                finalists=(RESULT,),
                seed_gain=GAIN,
                queries_needed=12,
                warnings=("look at q7",),
            )
        ),
        "gate_finished",
        {
            "verdict": "not_enough_evidence",
            "reason": "more",
            **RESULT_BODY,
            "queries_needed": 12,
            "seed_gain": {"queries": 8, "difference": 0.5, "low": 0.25, "high": 0.75},
            "finalists": [RESULT_BODY],
            "warnings": ["look at q7"],
        },
    ),
]


@pytest.mark.parametrize(
    ("event", "name", "body"), EVENTS, ids=[f"{name}-{place}" for place, (_, name, _) in enumerate(EVENTS)]
)
def test_every_event_has_a_name_and_a_body_of_plain_json(
    event: SearchEvent, name: str, body: JsonObject
) -> None:
    assert event_type(event) == name
    assert event_body(event) == body
    assert json.loads(json.dumps(event_body(event))) == body


def test_what_is_no_event_has_no_body() -> None:
    with pytest.raises(TypeError, match="Candidate is not a search event"):
        event_body(SEED)  # type: ignore[arg-type]  # the point


def test_an_unscored_answer_has_no_criteria() -> None:
    assert criteria_body(SCORED) == [
        {"criterion": "Safety", "score": 3.5, "rationale": "fine", "weight": 1.0, "source": "judge"}
    ]
    assert criteria_body(Unscored(reason="no")) == []
