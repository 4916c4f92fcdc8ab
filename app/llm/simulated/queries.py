"""What a query is about and what it calls for, read from its text alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.llm.simulated.banks import KindCues, kinds, query_words
from app.llm.simulated.plain import plain
from app.llm.simulated.traits import Kind, Trait

_MOST_TRAITS = 5
_SHORT = 16
"""Words up to which a query without a subject is read as ambiguous."""
_VERY_SHORT = 4
_SUBJECT_LETTERS = 5
_FEW_SUBJECTS = 2
_SURE = 2
"""Score from which on a kind is not doubted."""
_TOPIC_LETTERS = 4
_POSSESSIVE = re.compile(r"['\u2019]s\b")
_CONTRACTION = re.compile(r"\w+['\u2019]\w+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_LONGEST = 16
_MANY = 4
_ENDINGS = ("ing", "ed", "ly", "ous", "ful", "est", "ive")
_VERBAL = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryReading:
    """A query as understood.

    Attributes:
        traits: what a good answer to it has to show, most telling first; 2 to 5.
        words: what it is about, most telling first; at least two.
    """

    kind: Kind
    traits: tuple[Trait, ...]
    words: tuple[str, ...]


def read_query(text: str) -> QueryReading:
    """Read the query ``text``, as a person would who sees nothing else."""
    kind = classify(text)
    return QueryReading(kind=kind, traits=wanted_traits(text, kind), words=topic_words(text))


def classify(text: str) -> Kind:
    """The kind of the query ``text``, by cues; help where there are none."""
    words = plain(text)
    scores = kind_scores(words, kinds())
    best = max(scores, key=lambda kind: scores[kind])
    if scores[Kind.HARMFUL] > 0:
        return Kind.HARMFUL
    if best is not Kind.AMBIGUOUS and scores[best] >= _SURE:
        return best
    if _lacks_subject(words):
        return Kind.AMBIGUOUS
    return best if scores[best] > 0 else Kind.HELP


def kind_scores(words: str, cues: Mapping[Kind, KindCues]) -> dict[Kind, float]:
    """How much speaks for each kind in the plain text ``words``."""
    return {kind: entry.weight * sum(cue in words for cue in entry.cues) for kind, entry in cues.items()}


def _lacks_subject(words: str) -> bool:
    hints = query_words()
    count = words.count(" ") - 1
    pointing = any(f"{cue} " in words for cue in hints.pointing)
    telling = sum(len(word) >= _SUBJECT_LETTERS and word not in hints.stop for word in words.split())
    return count <= _SHORT and ((pointing and telling <= _FEW_SUBJECTS) or count <= _VERY_SHORT)


def wanted_traits(text: str, kind: Kind) -> tuple[Trait, ...]:
    """The traits that a good answer to ``text`` has to show."""
    words = plain(text)
    wanted = list(kinds()[kind].traits)
    hints = query_words()
    for cues, trait in (
        (hints.form, Trait.COMPLIANCE),
        (hints.shortness, Trait.CONCISENESS),
        (hints.culture, Trait.SENSITIVITY),
    ):
        if kind is not Kind.HARMFUL and any(f"{cue} " in words for cue in cues) and trait not in wanted:
            wanted.append(trait)
    return tuple(wanted[:_MOST_TRAITS])


def topic_words(text: str) -> tuple[str, ...]:
    """Words that say what ``text`` is about, the longest first; two stand-ins where there are none."""
    words = _WORD.findall(_CONTRACTION.sub(" ", _POSSESSIVE.sub("", text)))
    if len(words) > _MANY:
        words = words[1:]  # an English request opens with a verb or a question word
    ranked = sorted(dict.fromkeys(word[:_LONGEST] for word in words if _tells(word)), key=_dullness)
    return tuple((*ranked[:6], "this", "the rest")[: max(2, min(6, len(ranked)))])


def _dullness(word: str) -> int:
    """Less for long words and for what is likely a noun."""
    return _VERBAL * word.lower().endswith(_ENDINGS) - min(9, len(word))


def _tells(word: str) -> bool:
    return word.lower() not in query_words().stop and (len(word) >= _TOPIC_LETTERS or not word.isascii())
