"""What a system prompt's instructions really speak of: which trait, how strongly, in which scope."""

import re
from dataclasses import dataclass

from app.llm.simulated.banks import Lexicon, TraitWords, lexicon
from app.llm.simulated.plain import plain_clauses
from app.llm.simulated.traits import Kind, Trait

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_REACH = 90
"""Characters that a negation reaches."""
_CURT, _CURT_WORDS = 0.55, 4
"""What a sentence of fewer words is worth."""
_LISTED, _MOST_TRAITS = 0.5, 3
"""What a sentence that lists more traits is worth for each."""
_CONDITIONAL = (" if ", " when ", " where ", " unless ", " whenever ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """What one sentence says about one trait.

    Attributes:
        strength: -1..1; negative where it works against the trait.
        kinds: the kinds of query that it is limited to; empty for all.
    """

    trait: Trait
    strength: float
    kinds: frozenset[Kind]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A system prompt as understood: its instructions, and how many words it takes."""

    instructions: tuple[Instruction, ...]
    words: int


def read_instructions(system_prompt: str) -> Reading:
    """Read ``system_prompt``, whoever wrote it. What names no habit ("be excellent") speaks of nothing."""
    words = lexicon()
    found = tuple(
        instruction
        for sentence in _SENTENCE_END.split(system_prompt)
        if sentence.strip()
        for instruction in _read_sentence(plain_clauses(sentence), words)
    )
    return Reading(instructions=found, words=len(system_prompt.split()))


def _read_sentence(sentence: str, words: Lexicon) -> list[Instruction]:
    negations = _negations(sentence, words)
    verdicts = {
        trait: verdict
        for trait, entry in words.traits.items()
        if (verdict := _verdict(sentence, entry, negations)) != 0
    }
    if not verdicts:
        return []
    clarity = 0.15 if any(cue in sentence for cue in words.conditions) else 0.0
    length = len(sentence.split())
    thin = (_CURT if length < _CURT_WORDS else 1.0) * (_LISTED if len(verdicts) > _MOST_TRAITS else 1.0)
    kinds = frozenset(kind for kind, cues in words.scopes.items() if _scoped(sentence, cues))
    return [
        Instruction(
            trait=trait,
            strength=(1 if verdict > 0 else -1) * min(1.0, 0.3 + 0.2 * abs(verdict) + clarity) * thin,
            kinds=kinds,
        )
        for trait, verdict in verdicts.items()
    ]


def _scoped(sentence: str, cues: tuple[str, ...]) -> bool:
    """Whether a cue stands in a "when ..., in ..., for ..." part of the sentence."""
    for cue in cues:
        at = sentence.find(cue)
        if at < 0:
            continue
        before = sentence[max(0, at - 40) : at + 1]
        if any(opener in before for opener in (*_CONDITIONAL, " for ", " in ", " about ", " with ")):
            return True
    return False


def _negations(sentence: str, words: Lexicon) -> list[tuple[int, int, int]]:
    """Start, end and reach of each negation."""
    cancelled = [span for cue in words.cancels for span in _spans(sentence, cue)]
    found = []
    for cue in words.negators:
        for start, end in _spans(sentence, cue):
            if any(low <= start < high for low, high in cancelled):
                continue
            found.append((start, end, _reach(sentence, start, end, words)))
    return found


def _reach(sentence: str, start: int, end: int, words: Lexicon) -> int:
    stops = [end + _REACH]
    stops += [at for cue in words.breaks if (at := sentence.find(cue, end)) >= 0]
    clause = sentence[sentence.rfind(",", 0, start) + 1 : start + 1]
    if any(cue in f" {clause}" for cue in _CONDITIONAL) and (comma := sentence.find(",", end)) >= 0:
        stops.append(comma)
    return min(stops)


def _spans(sentence: str, cue: str) -> list[tuple[int, int]]:
    spans = []
    at = sentence.find(cue)
    while at >= 0:
        # The cue's closing space belongs to the next word as well.
        spans.append((at, at + len(cue.rstrip())))
        at = sentence.find(cue, at + 1)
    return spans


def _negated(start: int, end: int, negations: list[tuple[int, int, int]]) -> bool:
    return any(low < start < reach and not start <= low < end for low, _, reach in negations)


def _verdict(sentence: str, words: TraitWords, negations: list[tuple[int, int, int]]) -> int:
    """How many cues speak for (positive) or against (negative) the trait; 0 where none does."""
    excused = any(cue in sentence for cue in words.excuses)
    asked = refused = warned = named = 0
    for cue in words.asks:
        at = sentence.find(cue)
        if at >= 0:
            negated = _negated(at, at + len(cue), negations)
            asked += not negated
            refused += negated and not excused
    for cue in words.warns:
        at = sentence.find(cue)
        if at >= 0:
            negated = _negated(at, at + len(cue), negations)
            warned += negated
            named += not negated
    against = named
    if any(_speaks_of(sentence, cue, words.excuses) for cue in words.topics):
        asked += named == 0 and refused == 0
    speaks_for = asked + warned
    if speaks_for and speaks_for >= against:
        return speaks_for
    return -against if against else -refused


def _speaks_of(sentence: str, topic: str, excuses: tuple[str, ...]) -> bool:
    at = sentence.find(topic)
    while at >= 0:
        if not any(sentence.startswith(excuse, at) for excuse in excuses):
            return True
        at = sentence.find(topic, at + 1)
    return False
