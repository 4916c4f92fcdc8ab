"""What has changed between two texts."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.text_diff import PairLimit, Piece, line_diff, word_diff

TEXTS = st.text(alphabet=st.sampled_from("ab é,.\n\r\u2028"), max_size=60) | st.text(max_size=60)


@given(TEXTS, TEXTS, st.none() | st.integers(0, 30))
def test_the_pieces_make_up_both_texts(before: str, after: str, pairs: int | None) -> None:
    pieces = word_diff(before, after, None if pairs is None else PairLimit(pairs))
    assert "".join(piece.text for piece in pieces if piece.change != "added") == before
    assert "".join(piece.text for piece in pieces if piece.change != "removed") == after
    assert all(piece.text for piece in pieces)
    assert all(one.change != next_.change for one, next_ in pairwise(pieces))


@given(TEXTS, TEXTS)
def test_the_lines_make_up_both_texts_and_are_counted(before: str, after: str) -> None:
    lines = line_diff(before, after)
    old = [line for line in lines if line.change != "added"]
    new = [line for line in lines if line.change != "removed"]
    assert ([line.text for line in old], [line.text for line in new]) == (
        before.splitlines(),
        after.splitlines(),
    )
    assert [line.before for line in old] == list(range(1, len(old) + 1))
    assert [line.after for line in new] == list(range(1, len(new) + 1))
    assert all((line.before is None) == (line.change == "added") for line in lines)
    assert all((line.after is None) == (line.change == "removed") for line in lines)


@given(TEXTS)
def test_equal_texts_are_one_piece(text: str) -> None:
    assert word_diff(text, text) == ((Piece(change="same", text=text),) if text else ())


def test_only_words_that_differ_are_marked() -> None:
    assert [(piece.change, piece.text) for piece in word_diff("Be kind.\nStay.", "Be brief.\nStay.")] == [
        ("same", "Be "),
        ("removed", "kind"),
        ("added", "brief"),
        ("same", ".\nStay."),
    ]


def test_long_texts_that_share_nothing_are_wholly_different() -> None:
    before, after = "a " * 3000, "b " * 3000
    assert [(piece.change, piece.text) for piece in word_diff(before, after)] == [
        ("removed", before),
        ("added", after),
    ]


def test_thousands_of_lines_that_differ_are_not_compared_one_by_one() -> None:
    shared = [f"{number}" for number in range(1500)]
    before = ["first", *(line for number in shared for line in (f"a{number}", number)), "last"]
    after = ["first", *(line for number in shared for line in (f"b{number}", number)), "last"]
    changes = [line.change for line in line_diff("\n".join(before), "\n".join(after))]
    middle = 2 * len(shared) - 1  # the last number is followed by the same last line
    assert changes == ["same", *["removed"] * middle, *["added"] * middle, "same", "same"]


def test_texts_share_a_limit() -> None:
    limit = PairLimit(9)
    assert [piece.text for piece in word_diff("a b", "a c", PairLimit(10))] == ["a ", "b", "c"]
    assert [piece.text for piece in word_diff("a b", "a c", limit)] == ["a b", "a c"]
