import pytest

from benchmarks.quality_runs import USUAL
from benchmarks.world_realism import PUBLISHED, Tree, describe, table
from optimizer.types import Completion, CriterionScore, Evaluation, Query, Rollout, Score, Scored, Unscored


def evaluation(candidate_id: str, round_number: int, score: float | None) -> Evaluation:
    query = Query(id=f"q{round_number}", text="?")
    rollout = Rollout(candidate_id=candidate_id, query=query, completion=Completion(text="!"))
    found: Score = Unscored(reason="unreadable")
    if score is not None:
        found = Scored(
            reward=score, criteria=(CriterionScore(criterion="Clarity", score=score, rationale=""),)
        )
    return Evaluation(round=round_number, rollout=rollout, score=found)


def test_a_tree_is_described_by_what_was_kept_and_how_siblings_differ() -> None:
    tree = Tree(
        kept=2,
        evaluations=[
            evaluation("c0", 0, 3.0),
            *(evaluation(f"c1.0.{place}", 1, 5.0) for place in range(3)),
            *(evaluation(f"c2.1.{place}", 2, score) for place, score in enumerate((2.0, 4.0, 3.0))),
            evaluation("c1.0.0", 2, 3.0),
            evaluation("c2.0.0", 2, None),
        ],
    )
    found = describe(tree)
    assert list(found) == list(PUBLISHED)
    assert found["kept prompts"] == 0.5
    assert found["scores of 5"] == pytest.approx(3 / 8)
    assert found["all siblings tie"] == 0.5
    assert found["best sibling is unique"] == 0.5
    assert found["deviation within a query"] == pytest.approx((2 / 5) ** 0.5)
    assert found["variance between queries"] == pytest.approx(1 - 2 / 9.5)


def test_a_tree_in_which_nothing_was_rewritten_has_no_description() -> None:
    with pytest.raises(ValueError, match="without siblings"):
        describe(Tree(kept=1, evaluations=[evaluation("c0", 0, 5.0)]))


def test_the_usual_judge_is_as_saturated_as_that_of_the_published_trees() -> None:
    rows = {
        cells[1].strip(): float(cells[3])
        for line in table([USUAL], range(600, 604)).splitlines()[2:]
        if (cells := line.split("|"))
    }
    assert 0.5 < rows["kept prompts"] < 0.7
    assert 0.57 < rows["scores of 5"] < 0.88
    assert rows["variance between queries"] > 0.8
