"""Proposers read reasons that scores came without."""

import dataclasses
from collections.abc import Sequence

from typing_extensions import override

from optimizer.brief import Brief
from optimizer.proposers.reasoned import ReasonedProposer, ReasonedReflector
from optimizer.protocols import Proposer, ReasonGiver, Reflector
from optimizer.types import BeamPath, Candidate, Evaluation, Proposal
from tests.optimizer.builders import make_step


class Explained(ReasonGiver):
    """Marks what it has explained by a round of its own."""

    @override
    async def with_reasons(self, evaluations: Sequence[Evaluation]) -> tuple[Evaluation, ...]:
        return tuple(dataclasses.replace(item, round=99) for item in evaluations)


class Listening(Proposer, Reflector):
    """Proposes nothing and remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[Evaluation, ...]] = []
        self.asked: list[tuple[int, ...]] = []

    @property
    @override
    def template_version(self) -> str:
        return "v7"

    @override
    async def propose(self, *args: object, **fields: int) -> Sequence[Proposal]:  # type: ignore[override]
        (subject,) = args
        assert isinstance(subject, Brief | BeamPath)
        self.shown.append(subject.failures if isinstance(subject, Brief) else subject.last.evaluations)
        self.asked.append(tuple(fields.values()))
        return []


SEED = Candidate(id="c0", system_prompt="Help.")


async def test_the_failures_of_a_brief_are_explained() -> None:
    inner = Listening()
    reflector = ReasonedReflector(inner, Explained())
    brief = Brief(parent=SEED, aims=(), means={}, answers={}, failures=make_step("c0", 0, [2, 3]).evaluations)
    assert list(await reflector.propose(brief, draw=1, count=2)) == []
    assert [item.round for item in inner.shown[0]] == [99, 99]
    assert (inner.asked, reflector.template_version) == ([(1, 2)], "v7")


async def test_the_last_evaluations_of_a_lineage_are_explained_and_those_before_are_not() -> None:
    inner = Listening()
    proposer = ReasonedProposer(inner, Explained())
    path = BeamPath(steps=(make_step("c0", 0, [2]), make_step("c1", 1, [3])))
    await proposer.propose(path, round_number=1, slot=2, draw=3, count=4)
    assert [item.round for item in inner.shown[0]] == [99]
    assert (inner.asked, proposer.template_version) == ([(1, 2, 3, 4)], "v7")
