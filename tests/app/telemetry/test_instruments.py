import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from app.telemetry.instruments import Counter, Histogram
from app.telemetry.metrics import Metrics

BUCKETS = (0.001, 0.5, 1.0, 20.0)
VALUES = st.lists(st.floats(0, 100) | st.sampled_from(BUCKETS), max_size=20)


@given(VALUES, VALUES)
def test_it_says_what_the_librarys_own_says(first: list[float], second: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine = Histogram("drpo_some_seconds", "Some.", BUCKETS, ("model", "part"))
    ours.register(mine)
    other = prometheus_client.Histogram(
        "drpo_some_seconds", "Some.", ("model", "part"), buckets=BUCKETS, registry=theirs
    )
    for labels, values in ((("a", 'x"'), first), (("b", "y"), second)):
        for value in values:
            mine.labels(*labels).observe(value)
            other.labels(*labels).observe(value)
    assert generate_latest(ours) == without_creation(generate_latest(theirs))


def test_one_without_labels_is_there_before_its_first_value() -> None:
    metrics = Metrics()
    metrics.histogram("drpo_some_seconds", "Some.", BUCKETS).observe(0.5)
    metrics.histogram("drpo_other_seconds", "Others.", BUCKETS)
    text = metrics.text("")[0].decode()
    assert 'drpo_some_seconds_bucket{le="0.5"} 1.0' in text
    assert 'drpo_some_seconds_bucket{le="0.001"} 0.0' in text
    assert "drpo_other_seconds_count 0.0" in text


def test_names_are_taken_once_and_labels_are_complete() -> None:
    metrics = Metrics()
    made = metrics.histogram("drpo_some_seconds", "Some.", BUCKETS, "model")
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.histogram("drpo_some_seconds", "Again.", BUCKETS)
    with pytest.raises(ValueError, match="labels"):
        made.labels("a", "b")


@given(VALUES, VALUES)
def test_a_counter_says_what_the_librarys_own_says(first: list[float], second: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    mine, alone = Counter("drpo_things", "Things.", ("model",)), Counter("drpo_all", "All.")
    ours.register(mine)
    ours.register(alone)
    other = prometheus_client.Counter("drpo_things", "Things.", ("model",), registry=theirs)
    other_alone = prometheus_client.Counter("drpo_all", "All.", registry=theirs)
    for label, values in (("a", first), ('b"', second)):
        for value in values:
            mine.labels(label).inc(value)
            other.labels(label).inc(value)
            alone.inc()
            other_alone.inc()
    assert generate_latest(ours) == without_creation(generate_latest(theirs))


def without_creation(text: bytes) -> bytes:
    """What the library says besides of when its counters were made."""
    return b"".join(line for line in text.splitlines(keepends=True) if b"_created" not in line)
