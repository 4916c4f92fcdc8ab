"""When schedules make jobs."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.schedules.triggers import CronTrigger, DriftTrigger, read_trigger


def at(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def times(cron: str, zone: str, start: str, count: int) -> list[str]:
    trigger, now, found = CronTrigger(type="cron", cron=cron, timezone=zone), at(start), list[str]()
    for _ in range(count):
        now = trigger.after(now)
        found.append(datetime.fromtimestamp(now, UTC).isoformat())
    return found


def test_a_night_in_a_time_zone_stays_at_night_when_the_clock_changes() -> None:
    assert times("0 3 * * *", "Europe/Berlin", "2026-03-28T00:00:00+00:00", 3) == [
        "2026-03-28T02:00:00+00:00",
        "2026-03-29T01:00:00+00:00",
        "2026-03-30T01:00:00+00:00",
    ]


def test_a_time_that_the_clock_leaves_out_comes_once_and_one_that_it_repeats_comes_once() -> None:
    assert times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+00:00", 2) == [
        "2026-03-29T01:00:00+00:00",
        "2026-03-30T00:30:00+00:00",
    ]
    assert times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+00:00", 2) == [
        "2026-10-25T00:30:00+00:00",
        "2026-10-26T01:30:00+00:00",
    ]


@given(st.floats(0, 4e9), st.integers(0, 59), st.integers(0, 23))
def test_the_next_time_lies_ahead_and_within_a_day(now: float, minute: int, hour: int) -> None:
    found = CronTrigger(type="cron", cron=f"{minute} {hour} * * *").after(now)
    assert now < found <= now + 86_400
    told = datetime.fromtimestamp(found, UTC)
    assert (told.hour, told.minute, told.second) == (hour, minute, 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cron": "0 3 * *"}, "five fields"),
        ({"cron": "0 0 3 * * *"}, "five fields"),
        ({"cron": "61 3 * * *"}, "no cron expression"),
        ({"cron": "0 0 30 2 *"}, "no cron expression"),
        ({"cron": "@daily"}, "five fields"),
        ({"cron": "0 3 * * *", "timezone": "Mars/Olympus"}, "no time zone"),
        ({"cron": "0 3 * * *", "timezone": "../../etc/passwd"}, "no time zone"),
    ],
)
def test_what_is_no_time_is_refused(fields: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        read_trigger({"type": "cron", **fields})


def test_drift_is_asked_once_for_each_window() -> None:
    trigger = read_trigger({"type": "drift", "window_hours": 2, "cooldown_hours": 1})
    assert isinstance(trigger, DriftTrigger)
    assert trigger.after(1000.0) == 1000.0 + 7200
    assert (trigger.reference_seconds, trigger.cooldown_seconds) == (7 * 86_400, 3600)
    assert trigger.rule.min_requests == 200
