import random

import pytest

from optimizer.gate_config import GateConfig
from optimizer.regressions import (
    ERROR,
    MIN_PAIRS_OF_A_GROUP,
    SAFETY,
    Pair,
    compare_groups,
    is_safety_kind,
    turned_unsafe,
)
from optimizer.types import Score
from optimizer.verdicts import GroupDifference
from tests.optimizer.contests import answered, with_criteria

CONFIG = GateConfig()


def pairs(old: list[float | Score | None], new: list[float | Score | None], *kinds: str | None) -> list[Pair]:
    before, after = (
        answered(name, scores, kinds=kinds or (None,)) for name, scores in (("a", old), ("b", new))
    )
    return list(zip(before.evaluations, after.evaluations, strict=True))


def groups(found: list[Pair], config: GateConfig = CONFIG) -> dict[str, GroupDifference]:
    return {item.group: item for item in compare_groups(found, config)}


def test_kinds_are_told_apart_and_safety_stands_first() -> None:
    found = compare_groups(pairs([3.0] * 12, [3.5, 2.5] * 6, "poems", "harmful"), CONFIG)
    assert [item.group for item in found] == [SAFETY, "harmful", "poems"]
    assert [item.pairs for item in found] == [6, 6, 6]
    assert [item.difference for item in found] == [-0.5, -0.5, 0.5]
    assert [item.is_loss for item in found] == [True, False, False]


def test_queries_without_a_kind_are_in_no_group() -> None:
    assert compare_groups(pairs([3.0] * 5, [1.0] * 5), CONFIG) == ()


def test_an_ordinary_kind_may_lose_what_the_margin_allows() -> None:
    lost = pairs([3.0] * 12, [2.4] * 12, "code")
    assert groups(lost)["code"].is_loss
    assert not groups(lost, GateConfig(kind_margin=0.55))["code"].is_loss


def test_a_group_of_too_few_pairs_is_shown_and_not_judged() -> None:
    few = groups(pairs([5.0] * 4, [5.0, 1.0] * 2, "code", "harmful"))
    assert (few[SAFETY].pairs, few[SAFETY].most, few[SAFETY].is_loss) == (2, None, False)
    assert MIN_PAIRS_OF_A_GROUP == 3
    enough = groups(pairs([5.0] * 6, [5.0, 1.0] * 3, "code", "harmful"))
    assert enough[SAFETY].is_loss


def test_a_safety_criterion_counts_on_every_kind_and_before_the_reward() -> None:
    old = [with_criteria(Safety=5.0, Depth=1.0)] * 6
    new = [with_criteria(safety=3.0, Depth=5.0)] * 6
    found = groups(pairs([*old, 3.0], [*new, 4.0], "code"))
    assert (found[SAFETY].pairs, found[SAFETY].difference, found[SAFETY].is_loss) == (6, -2.0, True)
    assert found["code"].difference == 1.0


def test_where_a_safety_criterion_lacks_on_one_side_the_reward_of_a_safety_kind_counts() -> None:
    found = groups(pairs([with_criteria(Safety=5.0)], [with_criteria(Depth=3.0)], "HARMFUL"))
    assert (found[SAFETY].pairs, found[SAFETY].difference) == (1, -2.0)


def test_what_counts_as_safety_can_be_chosen() -> None:
    scores = pairs([with_criteria(Safety=5.0)] * 3, [with_criteria(Safety=1.0)] * 3, "harmful")
    assert SAFETY not in groups(scores, GateConfig(safety_kinds=(), safety_criteria=()))
    assert is_safety_kind("Minors", GateConfig(safety_kinds=("minors",)))
    assert not is_safety_kind(None, CONFIG)


def test_pairs_without_a_score_are_left_out() -> None:
    assert compare_groups(pairs([None, 3.0], [3.0, None], "harmful", "code"), CONFIG) == ()


def test_a_single_pair_makes_no_deviation() -> None:
    assert groups(pairs([3.0], [1.0], "code"))["code"].difference == -2.0


def test_queries_that_turned_unsafe_are_found() -> None:
    old: list[float | Score | None] = [with_criteria(Safety=value) for value in (4.0, 5.0, 3.0, 5.0)]
    new: list[float | Score | None] = [with_criteria(Safety=value) for value in (2.0, 3.0, 1.0, 1.0)]
    assert turned_unsafe(pairs([*old, 5.0, None], [*new, 1.0, 1.0]), CONFIG) == ("q0", "q3")


@pytest.mark.parametrize(("per_kind", "kinds"), [(3, 10), (8, 4)])
def test_where_nothing_has_changed_an_alarm_is_rare(per_kind: int, kinds: int) -> None:
    """One kind is about safety, without a margin; its false alarms dominate."""
    source = random.Random(per_kind)
    names = ["harmful", *(f"kind {number}" for number in range(kinds - 1))]
    alarms, runs = 0, 600
    for _ in range(runs):
        old = [source.choice((2.0, 2.5, 3.0, 3.5, 4.0)) for _ in range(per_kind * kinds)]
        new = [value + source.choice((-1.0, -0.5, 0.0, 0.0, 0.5, 1.0)) for value in old]
        found = compare_groups(pairs(list(old), list(new), *names), CONFIG)
        alarms += any(item.is_loss for item in found)
    assert alarms / runs <= ERROR + 0.03


@pytest.mark.parametrize(("per_kind", "least"), [(4, 0.75), (8, 0.95)])
def test_a_loss_of_a_point_of_safety_is_seen(per_kind: int, least: float) -> None:
    source = random.Random(per_kind)
    seen, runs = 0, 300
    for _ in range(runs):
        old = [source.choice((4.0, 4.5, 5.0)) for _ in range(per_kind * 4)]
        new = [value + source.choice((-0.5, 0.0, 0.5)) - (place % 4 == 0) for place, value in enumerate(old)]
        found = groups(pairs(list(old), list(new), "harmful", "code", "poems", "facts"))
        seen += found[SAFETY].is_loss
    assert seen / runs >= least
