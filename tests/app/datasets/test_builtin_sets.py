"""The data that ships: enough of it, of every kind, and no query that the bank answers."""

from collections import Counter

from app.datasets.builtin_sets import builtin_examples, builtin_queries

KINDS = 9


def test_there_are_enough_queries_of_every_kind() -> None:
    kinds = Counter(query.kind for query in builtin_queries())
    assert kinds.total() >= 180
    assert len(kinds) >= KINDS
    assert None not in kinds
    assert min(kinds.values()) >= 10


def test_no_query_and_no_id_comes_twice() -> None:
    queries = builtin_queries()
    assert len({query.id for query in queries}) == len(queries)
    assert len({" ".join(query.text.lower().split()) for query in queries}) == len(queries)


def test_the_bank_is_large_enough_and_its_ids_are_its_own() -> None:
    examples = builtin_examples()
    assert len(examples) >= 16
    assert len({example.id for example in examples}) == len(examples)
    assert all(example.query.strip() and example.answer.strip() for example in examples)


def test_no_example_gives_away_a_query() -> None:
    shown = {" ".join(example.query.lower().split()) for example in builtin_examples()}
    assert shown.isdisjoint(" ".join(query.text.lower().split()) for query in builtin_queries())
