"""Reading query sets that users bring."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.datasets import parsing
from app.datasets.parsing import QueryInput, distinct_queries, parse_jsonl
from optimizer.errors import InvalidInputError
from optimizer.types import Query


def problem(body: bytes) -> str:
    """What ``body`` is refused with."""
    with pytest.raises(InvalidInputError) as caught:
        parse_jsonl(body)
    assert caught.value.param == "file"
    return str(caught.value)


def test_a_line_is_a_text_or_an_object() -> None:
    body = b'"How are you?"\n{"text": "Why?", "kind": "odd", "id": "q1"}\n{"text": "When?"}'

    first, second, third = parse_jsonl(body)

    assert (first.text, first.kind) == ("How are you?", None)
    assert second == Query(id="q1", text="Why?", kind="odd")
    assert third.id.startswith("q-")
    assert third.id != first.id


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_no_queries() -> None:
    body = b'\xef\xbb\xbf"a"\r\n\r\n   \r\n"b"\r\n'
    assert [query.text for query in parse_jsonl(body)] == ["a", "b"]


def test_a_line_separator_inside_a_text_ends_no_line() -> None:
    assert [query.text for query in parse_jsonl('"a\u2028b\x85c"'.encode())] == ["a\u2028b\x85c"]


def test_white_space_around_a_text_is_dropped_before_its_id_is_derived() -> None:
    assert parse_jsonl(b'"  a "\n"a"') == parse_jsonl(b'"a"')


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "Invalid JSON"),
        (b"5", "line 2"),
        (b"null", "line 2"),
        (b'["a"]', "line 2"),
        (b'{"kind": "odd"}', "text: Field required"),
        (b'{"text": ""}', "text: String should have at least 1 character"),
        (b'" "', "text: String should have at least 1 character"),
        (b'{"text": "a", "kinds": "b"}', "kinds: Extra inputs are not permitted"),
        (b'{"text": "a", "id": ""}', "id: String should have at least 1 character"),
        (b'{"text": 5}', "text: Input should be a valid string"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_the_reason(line: bytes, said: str) -> None:
    message = problem(b'"fine"\n' + line + b'\n"fine, too"')
    assert message.startswith("line 2: ")
    assert said in message
    assert "a JSON string or an object with 'text'" in message


def test_a_file_that_is_not_utf_8_is_refused_with_the_place() -> None:
    assert "not UTF-8 (byte 5)" in problem(b'"abc \xff"')


@pytest.mark.parametrize("body", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_queries_is_refused(body: bytes) -> None:
    assert "give 1 to 20000 queries, not 0" in problem(body)


def test_too_many_queries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_QUERIES", 2)
    assert "give 1 to 2 queries, not more" in problem(b'"a"\n\n"b"\n\n"c"')
    assert len(parse_jsonl(b'"a"\n"b"\n\n')) == 2


def test_what_follows_too_many_queries_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_QUERIES", 2)
    assert "not more" in problem(b'"a"\n"b"\n{ no JSON\n\xff')


def test_a_file_of_line_breaks_takes_little_more_than_itself() -> None:
    body = b"\n" * 1_000_000
    tracemalloc.start()
    try:
        assert "not 0" in problem(body)
        assert tracemalloc.get_traced_memory()[1] < len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_the_place_of_a_bad_byte_counts_from_the_files_start(start: bytes) -> None:
    body = start + b'"a"\n"abc \xff"'
    assert f"not UTF-8 (byte {len(body) - 2})" in problem(body)


def test_one_id_for_two_texts_is_refused_and_for_one_text_twice_is_not() -> None:
    same = b'{"id": "q", "text": "a"}\n'
    assert len(parse_jsonl(same + same)) == 1
    assert "two queries have the id 'q'" in problem(same + b'{"id": "q", "text": "b"}')


def test_the_field_at_fault_is_the_callers() -> None:
    with pytest.raises(InvalidInputError) as caught:
        distinct_queries([QueryInput(text="a", id="q"), QueryInput(text="b", id="q")], param="queries")
    assert caught.value.param == "queries"


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"])).filter(str.strip), min_size=1, max_size=8
    )
)
def test_any_texts_come_back_in_their_order_and_each_once(texts: list[str]) -> None:
    body = "\n".join(json.dumps(text) for text in texts).encode()
    queries = parse_jsonl(body)
    assert [query.text for query in queries] == list(dict.fromkeys(text.strip() for text in texts))
    assert len({query.id for query in queries}) == len(queries)


@given(st.binary(max_size=60))
def test_any_bytes_are_queries_or_invalid_input(body: bytes) -> None:
    try:
        assert parse_jsonl(body)
    except InvalidInputError:
        return
