"""What has changed between two texts, by lines and by words: pure, for the API, the terminal and pages."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal, TypeAlias

Change: TypeAlias = Literal["same", "added", "removed"]
_Block: TypeAlias = tuple[Literal["same", "other"], Sequence[str], Sequence[str]]

_WORD: Final = re.compile(r"\w+|\s+|[^\w\s]")
_MOST_PAIRS: Final = 4_000_000
"""Of lines, and of words, that are compared with each other for one text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A stretch of text that both texts have, or one of them alone."""

    change: Change
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line, without its end.

    Attributes:
        before / after: its number in either text, from 1; None where that has not got it.
    """

    change: Change
    before: int | None
    after: int | None
    text: str


class PairLimit:
    """How many pairs of lines or words may still be compared: the time that it takes grows with them."""

    def __init__(self, pairs: int = _MOST_PAIRS) -> None:
        """So many ``pairs``."""
        self._left = pairs

    def allows(self, old: Sequence[str], new: Sequence[str]) -> bool:
        """Whether all of ``old`` may be compared with all of ``new``, which is then counted."""
        pairs = len(old) * len(new)
        if pairs > self._left:
            return False
        self._left -= pairs
        return True


def word_diff(before: str, after: str, limit: PairLimit | None = None) -> tuple[Piece, ...]:
    """The pieces of both texts in order, what is removed before what is added in its place.

    Those that are not ``added`` make up ``before``, and those that are not ``removed`` make up ``after``.
    Lines are compared first and words only where lines differ, so that long texts stay quick. What would take
    more than is left of ``limit``, by default 4 million pairs each of lines and words, counts as wholly
    different.
    """
    of_lines, of_words = (limit, limit) if limit is not None else (PairLimit(), PairLimit())
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    pieces: list[Piece] = []
    for change, lines, others in _line_blocks(old, new, of_lines):
        if change == "same":
            pieces.append(Piece(change="same", text="".join(lines)))
        else:
            pieces.extend(_words("".join(lines), "".join(others), of_words))
    return tuple(_joined(pieces))


def line_diff(before: str, after: str) -> tuple[Line, ...]:
    """The lines of both texts in order, those that are removed before those that are added in their place.

    Where both have thousands that differ, all between the first and the last of them count as different.
    """
    found: list[Line] = []
    old_at = new_at = 0
    for change, lines, others in _line_blocks(before.splitlines(), after.splitlines(), PairLimit()):
        for text in lines:
            old_at += 1
            new_at += change == "same"
            place = new_at if change == "same" else None
            found.append(
                Line(change="same" if place is not None else "removed", before=old_at, after=place, text=text)
            )
        for text in others:
            new_at += 1
            found.append(Line(change="added", before=None, after=new_at, text=text))
    return tuple(found)


def _words(before: str, after: str, limit: PairLimit) -> Iterator[Piece]:
    old, new = _WORD.findall(before), _WORD.findall(after)
    if not limit.allows(old, new):
        old, new = [before], [after]
    for change, words, others in _blocks(old, new):
        yield Piece(change="same" if change == "same" else "removed", text="".join(words))
        yield Piece(change="added", text="".join(others))


def _line_blocks(old: Sequence[str], new: Sequence[str], limit: PairLimit) -> Iterator[_Block]:
    """As ``_blocks``; the lines that both begin and end with are compared with nothing else."""
    most = min(len(old), len(new))
    first = next((at for at in range(most) if old[at] != new[at]), most)
    last = next((at for at in range(most - first) if old[-1 - at] != new[-1 - at]), most - first)
    inner, others = old[first : len(old) - last], new[first : len(new) - last]
    yield "same", old[:first], ()
    if limit.allows(inner, others):
        yield from _blocks(inner, others)
    else:
        yield "other", inner, others
    yield "same", old[len(old) - last :], ()


def _blocks(old: Sequence[str], new: Sequence[str]) -> Iterator[_Block]:
    """What both have, or what stands in either in place of the other."""
    for tag, old_from, old_to, new_from, new_to in SequenceMatcher(None, old, new).get_opcodes():
        if tag == "equal":
            yield "same", old[old_from:old_to], ()
        else:
            yield "other", old[old_from:old_to], new[new_from:new_to]


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """``pieces`` without empty ones, and neighbours of one kind as one."""
    last: Piece | None = None
    for piece in pieces:
        if not piece.text:
            continue
        if last is not None and last.change == piece.change:
            last = Piece(change=last.change, text=last.text + piece.text)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last
