"""The order in which requests with common beginnings leave."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from app.llm.limits.sweep import Beginning, Sweep


def leave(sweep: Sweep[tuple[Beginning, int]], numbers: dict[tuple[Beginning, int], int]) -> int:
    """Serve who is next; gives its name."""
    request = sweep.head()
    assert request is not None
    beginning, name = request
    assert sweep.leave(beginning, numbers[request], served=True)
    return name


def filled(*beginnings: Beginning) -> tuple[Sweep[tuple[Beginning, int]], dict[tuple[Beginning, int], int]]:
    sweep: Sweep[tuple[Beginning, int]] = Sweep()
    numbers = {
        (beginning, name): sweep.join(beginning, (beginning, name))
        for name, beginning in enumerate(beginnings)
    }
    return sweep, numbers


def test_common_beginnings_leave_one_after_the_other() -> None:
    sweep, numbers = filled(("m", "a", "x"), ("m", "b", "x"), ("m", "a", "y"), ("m", "b", "y"))
    assert [name for _, name in sweep] == [0, 2, 1, 3]
    assert [leave(sweep, numbers) for _ in range(4)] == [0, 2, 1, 3]
    assert sweep.head() is None


def test_those_with_the_same_beginning_leave_as_they_came() -> None:
    sweep, numbers = filled((), (), ())
    assert [leave(sweep, numbers) for _ in range(3)] == [0, 1, 2]


def test_who_comes_behind_the_sweep_waits_for_the_next_one() -> None:
    sweep, numbers = filled(("b",), ("c",))
    assert leave(sweep, numbers) == 0
    late = (("a",), 9)
    numbers[late] = sweep.join(("a",), late)
    assert [leave(sweep, numbers), leave(sweep, numbers)] == [1, 9]


def test_who_gives_up_is_gone_and_moves_no_sweep() -> None:
    sweep, numbers = filled(("a",), ("b",), ("c",))
    assert sweep.leave(("c",), numbers[("c",), 2], served=False)
    assert not sweep.leave(("c",), numbers[("c",), 2], served=False)
    assert not sweep.leave(("zz",), 77, served=False)
    assert [leave(sweep, numbers), leave(sweep, numbers), len(sweep)] == [0, 1, 0]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=3).map(tuple), max_size=30), st.integers(0, 30))
def test_everybody_leaves_once_within_two_sweeps(beginnings: list[Beginning], late: int) -> None:
    early = beginnings[:late]
    sweep, numbers = filled(*early)
    served = [leave(sweep, numbers) for _ in range(len(early) // 2)]
    for name, beginning in enumerate(beginnings[late:], start=len(early)):
        numbers[beginning, name] = sweep.join(beginning, (beginning, name))
    rest: list[Beginning] = []
    while len(sweep):
        request = sweep.head()
        assert request is not None
        rest.append(request[0])
        served.append(leave(sweep, numbers))
    assert sorted(served) == list(range(len(beginnings)))
    assert sum(later < earlier for earlier, later in itertools.pairwise(rest)) <= 1
