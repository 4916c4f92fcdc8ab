"""How a budget is shared between the search and the gate."""

import pytest

from app.jobs.decisions import Decisions
from app.jobs.reserve import KeepForGate, affordable
from optimizer.budget import Budget, Limits
from optimizer.estimate import GateSize
from optimizer.types import Spend
from tests.fakes.search import ManualClock


def budget(calls: int | None, spent: int = 0) -> Budget:
    """A budget of calls of which some are spent."""
    return Budget(Limits(calls=calls), clock=ManualClock(), spent=Spend(calls=spent))


def size(queries: int, *, finalists: int = 1, seed: bool = False, again: int = 0) -> GateSize:
    """A gate that compares so much; by default five calls a query."""
    return GateSize(queries=queries, finalists=finalists, with_seed_prompt=seed, judged_again=again)


def decided(**recorded: int) -> Decisions:
    """What an earlier attempt has decided; new decisions are added to it."""
    return Decisions(recorded, recorded.__setitem__)


@pytest.mark.parametrize(("calls_needed", "exhausted"), [(60, False), (61, True)])
def test_the_search_ends_while_the_gate_can_be_paid_for(calls_needed: int, exhausted: bool) -> None:
    keep = KeepForGate(budget(100), size=size(8), decisions=decided())
    assert keep.exhausted(calls_needed) is exhausted


@pytest.mark.parametrize(("calls_needed", "exhausted"), [(30, False), (31, True)])
def test_the_gate_gets_its_share_at_most(calls_needed: int, exhausted: bool) -> None:
    keep = KeepForGate(budget(50), size=size(100), decisions=decided())
    assert keep.exhausted(calls_needed) is exhausted


def test_without_held_out_queries_the_search_may_use_all() -> None:
    keep = KeepForGate(budget(50), size=size(0), decisions=decided())
    assert not keep.exhausted(50)
    assert keep.exhausted(51)


def test_without_a_limit_nothing_ends() -> None:
    assert not KeepForGate(budget(None), size=size(1000), decisions=decided()).exhausted(10**9)


def test_rounds_that_had_begun_begin_again_although_more_is_spent() -> None:
    keep = KeepForGate(budget(10, spent=10), size=size(8), decisions=decided(rounds=2))
    assert [keep.exhausted(5) for _ in range(3)] == [False, False, True]


def test_a_search_that_had_ended_goes_no_further_although_there_is_room() -> None:
    keep = KeepForGate(budget(None), size=size(8), decisions=decided(rounds=1, search_ended=1))
    assert [keep.exhausted(5) for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    ("left", "held_out", "room"),
    [
        (1000, 30, 30),
        (149, 30, 29),
        (40, 30, 8),
        (39, 30, 0),  # seven pairs would promote nothing
        (0, 30, 0),
        (5, 1, 1),
        (4, 1, 0),
        (15, 3, 3),
        (14, 3, 0),
        (100, 0, 0),
    ],
)
def test_the_gate_takes_as_many_queries_as_there_is_room_for(left: int, held_out: int, room: int) -> None:
    assert affordable(budget(1000, spent=1000 - left), size(held_out)).queries == room


def test_what_is_decided_is_recorded_once() -> None:
    log: list[tuple[str, int]] = []
    decisions = Decisions({"rounds": 1}, lambda name, value: log.append((name, value)))
    keep = KeepForGate(budget(10), size=size(0), decisions=decisions)
    assert [keep.exhausted(needed) for needed in (5, 5, 5, 11)] == [False, False, False, True]
    decisions.end_search()
    decisions.compare(size(3, finalists=2, seed=True, again=9))
    assert log == [
        ("rounds", 2),
        ("rounds", 3),
        ("refused:4", 1),
        ("search_ended", 1),
        ("finalists", 2),
        ("with_seed_prompt", 1),
        ("judged_again", 9),
        ("held_out", 3),
    ]
    recorded = Decisions(dict(log), lambda name, value: None)
    assert recorded.gate == size(3, finalists=2, seed=True, again=9)
    unfinished = Decisions(dict(log[:-1]), lambda name, value: None)
    assert unfinished.gate is None, "decided anew: no call was made because of half a decision"


def test_what_was_decided_before_is_not_recorded_again() -> None:
    log: list[tuple[str, int]] = []
    recorded = {"rounds": 2, "search_ended": 1, "held_out": 3}
    decisions = Decisions(recorded, lambda name, value: log.append((name, value)))
    keep = KeepForGate(budget(10), size=size(0), decisions=decisions)
    assert [keep.exhausted(5) for _ in range(3)] == [False, False, True]
    decisions.end_search()
    decisions.compare(size(8))
    assert log == []
    assert decisions.gate == size(3)


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (1000, size(10, finalists=3, seed=True, again=20)),
        (130, size(10, finalists=3, seed=True, again=20)),
        (129, size(10, finalists=2, seed=True, again=20)),
        (90, size(10, finalists=1, seed=True, again=20)),
        (89, size(10, again=20)),
        (70, size(10, again=20)),
        (69, size(10, again=8)),
        (57, size(9, again=8)),
        (48, size(8, again=8)),
        (47, size(8)),
        (40, size(8)),
        (39, size(0, finalists=3, seed=True)),
    ],
)
def test_finalists_are_cut_before_the_seed_prompt_and_queries_last(left: int, expected: GateSize) -> None:
    wanted = size(10, finalists=3, seed=True, again=20)
    assert affordable(budget(1000, spent=1000 - left), wanted) == expected


@pytest.mark.parametrize(("left", "again"), [(20, 20), (19, 8), (7, 0)])
def test_without_held_out_queries_answers_of_the_search_are_judged_again(left: int, again: int) -> None:
    found = affordable(budget(100, spent=100 - left), size(0, finalists=0, again=20))
    assert (found.queries, found.judged_again) == (0, again)


def changing(limit: Budget, recorded: dict[str, int], given: int = 100) -> KeepForGate:
    """A job that was made with ``given`` calls, on what earlier attempts have ``recorded``."""
    decisions = Decisions(recorded, recorded.__setitem__)
    return KeepForGate(limit, size=size(0), decisions=decisions, given=Limits(calls=given))


def test_other_limits_are_planned_with_once_and_a_later_attempt_repeats_that() -> None:
    recorded: dict[str, int] = {}
    limit = budget(100)
    keep = changing(limit, recorded)

    def plan(keep: KeepForGate) -> list[object]:
        return [keep.affordable_calls(0), keep.have_changed(), keep.exhausted(5)]

    def go_on(keep: KeepForGate) -> list[object]:
        found: list[object] = [keep.have_changed()]
        if found[0]:
            found.append(keep.affordable_calls(10))
        return [*found, keep.exhausted(5)]

    first = plan(keep)
    limit.change(Limits(calls=300))
    rest = [go_on(keep), go_on(keep)]
    assert (first, rest) == ([100, False, False], [[True, 290, False], [False, False]])

    again = changing(budget(300), dict(recorded))
    assert [plan(again), go_on(again), go_on(again)] == [first, *rest]
    assert not again.have_changed()


def test_limits_that_changed_while_nobody_worked_are_planned_with_at_the_next_round() -> None:
    recorded: dict[str, int] = {}
    keep = changing(budget(100), recorded)
    assert keep.affordable_calls(0) == 100
    assert not keep.exhausted(5)
    later = changing(budget(50), recorded)
    assert later.affordable_calls(0) == 100  # as it was told then
    assert not later.have_changed()
    assert not later.exhausted(5)
    assert later.have_changed()
    assert later.affordable_calls(5) == 45


def test_a_job_changed_before_it_began_has_nothing_to_plan_anew() -> None:
    recorded: dict[str, int] = {}
    for keep in (changing(budget(50), recorded), changing(budget(50), recorded)):
        assert keep.affordable_calls(0) == 50
        assert not keep.have_changed()
        assert not keep.exhausted(50)


def test_what_was_refused_under_a_smaller_budget_is_refused_again() -> None:
    recorded: dict[str, int] = {}
    limit = budget(10)
    keep = changing(limit, recorded, given=10)
    answers = [keep.exhausted(20)]
    limit.change(Limits(calls=100))
    answers.append(keep.exhausted(20))
    assert answers == [True, False]
    again = changing(budget(100), recorded, given=10)
    assert [again.exhausted(20), again.exhausted(20)] == answers


def test_a_search_that_had_ended_hears_of_no_other_limits() -> None:
    recorded = {"rounds": 1, "search_ended": 1}
    keep = changing(budget(500), recorded)
    keep.exhausted(5)
    assert not keep.have_changed()
    assert keep.exhausted(5)
