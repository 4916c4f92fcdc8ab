import pytest

from optimizer.errors import BackendUnavailableError
from optimizer.events import CandidateKept, CandidateProposed, ProposalFailed
from optimizer.expansion import Expander
from optimizer.types import BeamPath, Candidate, Proposal
from tests.fakes.chat_model import ScriptedModel
from tests.fakes.search import CountingModel, FakeProposer, FakeScorer, one_second, unreadable
from tests.fakes.virtual_time import run_virtually
from tests.optimizer.builders import make_path, make_queries
from tests.optimizer.searching import Search, answer_from_messages

PATH = make_path("0.1", [[3.0], [2.0]])
PARENT = PATH.candidate


async def expand(search: Search, proposer: FakeProposer, *, kept_reason: str | None = None) -> list[BeamPath]:
    expander = Expander(proposer, search.evaluator(), search.observer, proposals=3)
    return await expander.expand(
        PATH, make_queries(2), round_number=2, slot=1, draw=0, kept_reason=kept_reason
    )


async def test_each_proposal_becomes_a_lineage_in_its_order() -> None:
    search = Search()
    grown = await expand(search, FakeProposer())
    assert [path.candidate for path in grown] == [
        Candidate(
            id=f"c2.1.{position}",
            system_prompt=f"prompt 2.1.{position} after c1.0.1",
            parent_id="c1.0.1",
            round=2,
            rationale="the next number",
        )
        for position in range(3)
    ]
    for path in grown:
        assert path.steps[:-1] == PATH.steps
        assert [item.rollout.query for item in path.last.evaluations] == list(make_queries(2))
        assert all(item.round == 2 for item in path.last.evaluations)


async def test_new_candidates_are_announced_with_the_version_of_the_meta_prompt() -> None:
    search = Search()
    grown = await expand(search, FakeProposer())
    announced = [event for event in search.observer.events if isinstance(event, CandidateProposed)]
    assert [event.candidate for event in announced] == [path.candidate for path in grown]
    assert {event.template_version for event in announced} == {"fake-1"}
    assert not search.kept


@pytest.mark.parametrize("reason", ["easy", "unscored"])
async def test_a_candidate_that_is_carried_on_costs_no_proposal(reason: str) -> None:
    search, proposer = Search(), FakeProposer()
    grown = await expand(search, proposer, kept_reason=reason)
    assert [path.candidate for path in grown] == [PARENT]
    assert proposer.calls == []
    assert search.kept == [CandidateKept(round=2, slot=1, candidate_id=PARENT.id, reason=reason)]


async def test_a_proposal_that_cannot_be_read_leaves_its_siblings_their_places() -> None:
    def propose(path: BeamPath, round_number: int, slot: int, position: int) -> Proposal:
        return unreadable() if position == 1 else Proposal(system_prompt=f"p{position}", rationale="")

    search = Search()
    grown = await expand(search, FakeProposer(propose))
    assert [path.candidate.id for path in grown] == ["c2.1.0", "c2.1.2"]
    failed = [event for event in search.observer.events if isinstance(event, ProposalFailed)]
    assert failed == [
        ProposalFailed(round=2, parent_id=PARENT.id, proposal_slot=1, reason="the reply holds no JSON object")
    ]


async def test_without_a_readable_proposal_the_prompt_is_carried_on() -> None:
    search = Search()
    grown = await expand(search, FakeProposer(unreadable))
    assert [path.candidate for path in grown] == [PARENT]
    assert len(grown[0].last.evaluations) == 2
    assert search.kept == [CandidateKept(round=2, slot=1, candidate_id=PARENT.id, reason="no_proposal")]


async def test_a_proposer_that_cannot_be_reached_is_an_error() -> None:
    gone = BackendUnavailableError("gone", backend="fake")

    def propose(*_: object) -> Proposal:
        raise gone

    with pytest.raises(BackendUnavailableError) as caught:
        await expand(Search(), FakeProposer(propose))
    assert caught.value is gone


def test_the_proposals_of_a_candidate_are_evaluated_together() -> None:
    target = CountingModel(ScriptedModel(answer_from_messages), one_second)
    search = Search(target=target, scorer=FakeScorer())
    assert run_virtually(expand(search, FakeProposer()))[1] == 1
    assert target.requests == 6
