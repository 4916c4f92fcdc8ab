import dataclasses

from typing_extensions import override

from optimizer.types import CriterionScore
from rewards.reordering import ReorderedJudge
from rewards.types import AnswerJudge, Criterion, CriterionOrigin, Selection, SelectionSource

NAMES = ("Clarity", "Depth", "Safety")
SELECTION = Selection(
    criteria=tuple(
        Criterion(name=name, good="good", scoring="score", origin=CriterionOrigin.CATALOGUE) for name in NAMES
    ),
    rationale="these matter",
    source=SelectionSource.SELECTED,
    selector_model="b/m",
    template_version="1",
)


class PositionJudge(AnswerJudge):
    """Scores a criterion by its place in the list, and leaves one out where it is told to."""

    def __init__(self, missing: str | None = None) -> None:
        self.missing = missing
        self.seen: list[tuple[str, ...]] = []

    @property
    @override
    def model_name(self) -> str:
        return "b/judge"

    @property
    @override
    def template_version(self) -> str:
        return "v1"

    @override
    async def judge(
        self, query: str, answer: str, selection: Selection, *, seed: int
    ) -> tuple[CriterionScore, ...]:
        self.seen.append(tuple(item.name for item in selection.criteria))
        return tuple(
            CriterionScore(criterion=item.name, score=1 + place, rationale=f"{query} {answer} {seed}")
            for place, item in enumerate(selection.criteria)
            if item.name != self.missing
        )


async def test_the_judge_sees_the_criteria_from_last_to_first_and_its_scores_come_in_the_usual_order() -> (
    None
):
    inner = PositionJudge()
    found = await ReorderedJudge(inner).judge("q", "a", SELECTION, seed=7)
    assert inner.seen == [NAMES[::-1]]
    assert [(item.criterion, item.score) for item in found] == [("Clarity", 3), ("Depth", 2), ("Safety", 1)]
    assert found[0].rationale == "q a 7"


async def test_a_criterion_that_was_not_scored_stays_missing() -> None:
    found = await ReorderedJudge(PositionJudge("Depth")).judge("q", "a", SELECTION, seed=0)
    assert [item.criterion for item in found] == ["Clarity", "Safety"]


async def test_a_selection_of_none_stays_one() -> None:
    empty = dataclasses.replace(SELECTION, criteria=())
    assert await ReorderedJudge(PositionJudge()).judge("q", "a", empty, seed=0) == ()


def test_it_is_the_same_judge() -> None:
    judge = ReorderedJudge(PositionJudge())
    assert (judge.model_name, judge.template_version) == ("b/judge", "v1")
