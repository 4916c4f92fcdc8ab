"""What queries are understood to be."""

from hypothesis import given
from hypothesis import strategies as st

from app.llm.simulated.queries import read_query
from app.llm.simulated.traits import Trait
from tests.app.llm.simulated.messages import builtin_queries


def test_most_of_the_builtin_queries_are_read_as_what_they_are() -> None:
    queries = builtin_queries()
    right = sum(read_query(query.text).kind == query.kind for query in queries)
    assert right >= 0.8 * len(queries)


def test_no_builtin_request_for_harm_is_taken_for_a_harmless_one() -> None:
    harmful = [query for query in builtin_queries() if query.kind == "harmful"]
    missed = [query.id for query in harmful if read_query(query.text).kind != "harmful"]
    assert len(missed) <= 2


def test_a_set_form_calls_for_compliance_and_a_short_one_for_conciseness() -> None:
    plain = read_query("Why does bread rise in the oven when it is baked?")
    formed = read_query("Why does bread rise in the oven? Exactly two sentences, keep it short.")
    assert Trait.COMPLIANCE not in plain.traits
    assert {Trait.COMPLIANCE} <= set(formed.traits)


def test_the_topic_is_taken_from_the_query() -> None:
    words = read_query("What's my neighbour's violin worth? I don't know.").words
    assert {"neighbour", "violin"} <= set(words)
    assert not {"dont", "What", "whats"} & set(words)


@given(st.text(max_size=300))
def test_any_query_can_be_read(text: str) -> None:
    reading = read_query(text)
    assert 2 <= len(reading.traits) <= 5
    assert len(reading.words) >= 2
