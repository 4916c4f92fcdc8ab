"""When a message is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from app.notifications.patience import next_wait
from app.webhook_settings import WebhookSettings

SETTINGS = WebhookSettings()
draws = st.floats(0, 1)


@given(st.integers(1, 10_000), draws)
def test_a_wait_lies_between_half_of_the_first_and_the_longest(attempts: int, draw: float) -> None:
    wait = next_wait(SETTINGS, attempts=attempts, age=0, draw=draw)
    assert wait is not None
    assert SETTINGS.first_wait_seconds / 2 <= wait <= SETTINGS.max_wait_seconds


@given(st.integers(1, 30), draws)
def test_waits_grow_from_attempt_to_attempt(attempts: int, draw: float) -> None:
    one = next_wait(SETTINGS, attempts=attempts, age=0, draw=draw)
    other = next_wait(SETTINGS, attempts=attempts + 1, age=0, draw=draw)
    assert one is not None
    assert other is not None
    assert other >= one


@given(st.lists(draws, min_size=60, max_size=60))
def test_a_receiver_that_is_away_for_good_is_given_up_within_three_days(drawn: list[float]) -> None:
    age, attempts = 0.0, 1
    while (wait := next_wait(SETTINGS, attempts=attempts, age=age, draw=drawn[attempts])) is not None:
        age, attempts = age + wait, attempts + 1
    assert age <= SETTINGS.give_up_seconds
    assert 15 <= attempts <= 45


def test_what_the_receiver_asks_for_is_honoured_within_bounds() -> None:
    assert next_wait(SETTINGS, attempts=1, age=0, draw=0, asked=120.0) == 120.0
    assert next_wait(SETTINGS, attempts=1, age=0, draw=0, asked=1e9) == SETTINGS.max_wait_seconds
    assert next_wait(SETTINGS, attempts=1, age=0, draw=0, asked=0.0) == SETTINGS.first_wait_seconds
