"""Text as the simulated models compare it: lower case, words only, one space between them."""

import re
from collections.abc import Iterable, Sequence

_MARKS = str.maketrans("", "", "'\u2019\u2018`*_\"")
_NOT_WORD = re.compile(r"[^\w]+")
_NOT_WORD_OR_COMMA = re.compile(r"[^\w,;]+")
_COMMA = re.compile(r"([,;])")


def plain(text: str) -> str:
    """``text`` in lower case with a space before, between and after its words, and no punctuation."""
    return f" {_NOT_WORD.sub(' ', text.translate(_MARKS).lower()).strip()} "


def plain_clauses(text: str) -> str:
    """As ``plain``, but commas and semicolons stay, as words of their own; a colon becomes a semicolon."""
    spaced = _COMMA.sub(r" \1 ", text.translate(_MARKS).lower().replace(":", ";"))
    return f" {_NOT_WORD_OR_COMMA.sub(' ', spaced).strip()} "


def as_cue(phrase: str) -> str:
    """``phrase`` as it is found in plain text.

    It stands at the start of a word, or anywhere if it is not in Latin script. One that ends in ``$`` ends
    with a whole word; otherwise it may be the stem of longer ones.
    """
    bare = plain(phrase).strip() or phrase.strip()
    start = " " if bare.isascii() else ""
    return f"{start}{bare} " if phrase.endswith("$") else f"{start}{bare}"


def as_cues(phrases: Iterable[object]) -> tuple[str, ...]:
    """``as_cue`` of each."""
    return tuple(as_cue(str(phrase)) for phrase in phrases)


def hits(text: str, cues: Sequence[str]) -> tuple[str, ...]:
    """The ``cues`` that occur in plain ``text``, in the order of ``cues``."""
    return tuple(cue for cue in cues if cue in text)
