"""How many further attempts there may be."""

from hypothesis import given
from hypothesis import strategies as st

from app.llm.routing.retry_budget import RetryBudget
from tests.fakes.hand_clock import HandClock


def taken(budget: RetryBudget, times: int) -> int:
    return sum(budget.take() for _ in range(times))


def test_what_time_gives_can_be_taken_at_once() -> None:
    clock = HandClock()
    budget = RetryBudget(share=0, per_second=0.5, clock=clock)
    assert taken(budget, 20) == 5
    clock.tick(4)
    assert taken(budget, 20) == 2
    clock.tick(1000)
    assert taken(budget, 20) == 5


def test_requests_give_their_share() -> None:
    budget = RetryBudget(share=0.25, per_second=0, clock=HandClock())
    assert taken(budget, 5) == 1
    for _ in range(3):
        budget.request_came()
    assert taken(budget, 5) == 0
    budget.request_came()
    assert taken(budget, 5) == 1


def test_without_any_there_is_none() -> None:
    budget = RetryBudget(share=0, per_second=0, clock=HandClock())
    budget.request_came()
    assert taken(budget, 5) == 0


@given(st.lists(st.booleans(), max_size=300))
def test_attempts_stay_below_share_and_floor(failures: list[bool]) -> None:
    budget = RetryBudget(share=0.2, per_second=0.3, clock=HandClock())
    attempts = 0
    for failed in failures:
        budget.request_came()
        attempts += failed and budget.take()
    assert attempts <= 0.2 * len(failures) + 3 + 1e-6
