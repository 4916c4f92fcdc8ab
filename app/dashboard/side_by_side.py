"""Two texts beside each other, line by line, from what the API says about the words and lines that differ."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pydantic import BaseModel

Change: TypeAlias = Literal["same", "added", "removed"]


class Piece(BaseModel):
    """A stretch of text that both texts have, or one of them alone."""

    change: Change
    text: str


class Line(BaseModel):
    """One line; ``before`` and ``after`` are its numbers, null where a text has not got it."""

    change: Change
    before: int | None
    after: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """A line of one text, in pieces; without its end."""

    number: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What stands beside each other; None where one text has nothing there."""

    before: Side | None
    after: Side | None
    is_same: bool


def side_by_side(words: Sequence[Piece], lines: Sequence[Line]) -> list[Row]:
    """The rows of two texts; what is removed stands beside what is added in its place, as far as both go."""
    old = _lines_of(piece for piece in words if piece.change != "added")
    new = _lines_of(piece for piece in words if piece.change != "removed")
    rows: list[Row] = []
    removed: list[Side] = []
    added: list[Side] = []
    for line in lines:
        before, after = _side(old, line.before), _side(new, line.after)
        if line.change == "same":
            rows.extend(_pairs(removed, added))
            removed, added = [], []
            rows.append(Row(before=before, after=after, is_same=True))
        elif before is not None:
            removed.append(before)
        elif after is not None:
            added.append(after)
    return [*rows, *_pairs(removed, added)]


def _pairs(removed: Sequence[Side], added: Sequence[Side]) -> Iterator[Row]:
    for place in range(max(len(removed), len(added))):
        yield Row(
            before=removed[place] if place < len(removed) else None,
            after=added[place] if place < len(added) else None,
            is_same=False,
        )


def _side(lines: Sequence[tuple[Piece, ...]], number: int | None) -> Side | None:
    return None if number is None else Side(number=number, pieces=lines[number - 1])


def _lines_of(pieces: Iterable[Piece]) -> list[tuple[Piece, ...]]:
    lines: list[tuple[Piece, ...]] = []
    current: list[Piece] = []
    for piece in pieces:
        for part in piece.text.splitlines(keepends=True):
            text = part.splitlines()[0]
            if text:
                current.append(Piece(change=piece.change, text=text))
            if text != part:
                lines.append(tuple(current))
                current = []
    return [*lines, tuple(current)] if current else lines
