from hypothesis import given
from hypothesis import strategies as st

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
    RoundFinished,
    RoundStarted,
    SearchEvent,
    SearchFinished,
    SearchStarted,
)
from optimizer.gate import not_compared
from optimizer.reliability import report_on_judge
from optimizer.types import (
    BeamPath,
    Candidate,
    Evaluation,
    Proposal,
    Query,
    Rollout,
    Scored,
    SearchResult,
    StopReason,
    Unscored,
)
from tests.fakes.search import FakeProposer, FakeScorer, hashed_score, numbered_proposal, unreadable
from tests.optimizer.builders import make_queries
from tests.optimizer.searching import Search


def make_evaluation(round_number: int, candidate_id: str, query_id: str) -> EvaluationFinished:
    rollout = Rollout(candidate_id=candidate_id, query=Query(id=query_id, text="?"), completion=None)
    return EvaluationFinished(
        evaluation=Evaluation(round=round_number, rollout=rollout, score=Unscored(reason="refused"))
    )


def test_every_kind_of_event_has_a_key_that_says_what_happened() -> None:
    seed = Candidate(id="c0", system_prompt="Be kind.")
    result = SearchResult(
        best=seed, best_reward=None, finalists=(), seed_prompt=seed, beam=(), rounds=0,
        stop_reason=StopReason.BUDGET, unscored=0, evaluations=0,
    )  # fmt: skip
    events: list[SearchEvent] = [
        SearchStarted(seed_prompt=seed, max_rounds=29, queries=30),
        RoundStarted(round=3, query_ids=("q1",)),
        CandidateKept(round=3, slot=1, candidate_id="c2.0.1", reason="easy"),
        CandidateProposed(candidate=Candidate(id="c3.0.2", system_prompt="x"), template_version="1"),
        ProposalFailed(round=3, parent_id="c2.0.1", proposal_slot=2, reason="no JSON object"),
        make_evaluation(3, "c3.0.2", "q1"),
        CandidateDropped(
            round=3, candidate_id="c3.0.2", reason="beaten", leader_id="c0", pairs=4, difference=-1.0
        ),
        FinalistsCompared(
            round=3,
            first_id="c0",
            second_id="c3.0.2",
            pairs=4,
            uncompared=1,
            preference=0.5,
            winner_id="c3.0.2",
        ),
        RoundFinished(round=3, ranking=(), rounds_left=16),
        SearchFinished(result=result),
        GateStarted(incumbent=seed, finalists=(seed,), seed_prompt=None, queries=8),
        JudgeChecked(report=report_on_judge([], [])),
        GateFinished(conclusion=not_compared("no query was held out")),
    ]
    assert [event.key for event in events] == [
        "search_started",
        "round_started:3",
        "candidate_kept:3:1",
        "candidate_proposed:c3.0.2",
        "proposal_failed:3:c2.0.1:2",
        "evaluation:3:c3.0.2:q1",
        "candidate_dropped:3:c3.0.2",
        "finalists_compared:3:c0:c3.0.2",
        "round_finished:3",
        "search_finished",
        "gate_started",
        "judge_checked",
        "gate_finished",
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(-1, 3), st.sampled_from(["c0", "c1.0.0", "c1.0.1"]), st.text(":q1", max_size=4)
        ),
        unique=True,
    )
)
def test_two_evaluations_never_share_a_key(places: list[tuple[int, str, str]]) -> None:
    keys = {make_evaluation(*place).key for place in places}
    assert len(keys) == len(places)


async def test_a_search_with_every_kind_of_event_repeats_no_key() -> None:
    def propose(path: BeamPath, round_number: int, slot: int, position: int) -> Proposal:
        if position == 1:
            return unreadable()
        return numbered_proposal(path, round_number, slot, position)

    search = Search(scorer=FakeScorer(hashed_score), proposer=FakeProposer(propose))
    await search.run(make_queries(30))
    kinds = {type(event) for event in search.observer.events}
    assert kinds == {
        SearchStarted, RoundStarted, CandidateKept, CandidateProposed, ProposalFailed,
        EvaluationFinished, RoundFinished, SearchFinished,
    }  # fmt: skip
    assert len({event.key for event in search.observer.events}) == len(search.observer.events)
    scores = [event for event in search.observer.events if isinstance(event, EvaluationFinished)]
    assert all(isinstance(event.evaluation.score, Scored) for event in scores)
