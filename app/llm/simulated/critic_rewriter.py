"""The simulated rewriter of answers: works on the lowest scores. It errs, and knows its message alone."""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from app.backend_settings import USUAL_WORLD, SimulatedWorldSettings
from app.llm.simulated.answers import read_signs
from app.llm.simulated.banks import bodies, phrases
from app.llm.simulated.draws import Draw, generator
from app.llm.simulated.filling import fill
from app.llm.simulated.plain import plain
from app.llm.simulated.queries import QueryReading, read_query
from app.llm.simulated.sections import quoted, section
from app.llm.simulated.traits import Kind, Trait, match_trait

TASK = "# Task: improve an answer"

_SCORE = re.compile(r"^- (?P<name>.+?): (?P<score>[\d.]+) of 5\.? ?(?P<reason>.*)$")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_PARAGRAPH = "\n\n"
_CONTENT = 0.6
"""How much better than the worst a score may look and still be worked on beside it."""
_DOES_TWO = 0.65
_REMOVES = 0.75
"""Of the sentences that speak against a trait, when it is worked on."""
_OVERSHOOTS, _LOSES, _PADS, _IDLES = 0.12, 0.2, 0.28, 0.34
"""Cumulative probabilities of the ways in which a rewrite goes wrong beside what it does."""
_DRAFTED = 2
"""Traits that a first answer shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    """What the rewriter gets to see; ``means`` holds the score of each trait, the lowest first."""

    query: QueryReading
    answer: str
    means: tuple[tuple[Trait, float], ...]


def rewrite(message: str, seed: int, draw: Draw, character: SimulatedWorldSettings = USUAL_WORLD) -> str:
    """The reply to a rewriter message: an analysis and a whole new answer.

    Args:
        message: the user message, as the rewriter's template makes it.
        seed: the world's seed.
        draw: which sample; different ones differ also at temperature 0, as ``n`` draws in one request do.
        character: how this critic differs from the usual one; its skill as a proposer counts here, too.
    """
    rng = generator(seed, "rewriter", message, draw.seed if draw.temperature > 0 else 0, draw.index)
    task = _read(message)
    worked_on = _weak_traits(task, rng)
    if not task.answer:
        paragraphs = _first_answer(task.query, worked_on, rng)
    else:
        paragraphs = task.answer.split(_PARAGRAPH)
        if rng.random() < character.proposer_skill:
            for trait in worked_on:
                _work_on(paragraphs, trait, task.query, rng)
        _err(paragraphs, task, rng)
    names = " and ".join(worked_on)
    reply = {"analysis": f"The answer fell short on {names}.", "answer": _PARAGRAPH.join(paragraphs)}
    return json.dumps(reply, ensure_ascii=False)


def _read(message: str) -> _Task:
    scores: dict[Trait, list[float]] = {}
    for line in section(message, "## Verdict"):
        match = _SCORE.match(line)
        trait = match_trait(match["name"]) or match_trait(match["reason"]) if match else None
        if match and trait is not None:
            scores.setdefault(trait, []).append(float(match["score"]))
    means = sorted(((trait, fmean(values)) for trait, values in scores.items()), key=lambda pair: pair[1])
    return _Task(
        query=read_query(quoted(section(message, "## Query"))),
        answer=quoted(section(message, "## Answer")).strip(),
        means=tuple(means),
    )


def _weak_traits(task: _Task, rng: random.Random) -> list[Trait]:
    """One or two traits to work on: those with the lowest scores, else what the query seems to call for."""
    if not task.means:
        return rng.sample(task.query.traits, _DRAFTED)
    lowest = task.means[0][1]
    near = [trait for trait, mean in task.means if mean <= lowest + _CONTENT]
    rng.shuffle(near)
    return near[: 2 if rng.random() < _DOES_TWO else 1]


def _first_answer(query: QueryReading, shown: Sequence[Trait], rng: random.Random) -> list[str]:
    core = bodies()["refusal" if query.kind is Kind.HARMFUL else query.kind]
    paragraphs = [fill(rng.choice(core), query.words, rng)]
    for trait in shown:
        _show(paragraphs, trait, query, rng)
    return paragraphs


def _work_on(paragraphs: list[str], trait: Trait, query: QueryReading, rng: random.Random) -> None:
    """Take out what speaks against ``trait``, mostly, and put in a sentence that speaks for it."""
    for place, paragraph in enumerate(paragraphs):
        kept = [
            sentence
            for sentence in _SENTENCE.split(paragraph)
            if not read_signs(plain(sentence), trait).lacks or rng.random() > _REMOVES
        ]
        paragraphs[place] = " ".join(kept)
    paragraphs[:] = [paragraph for paragraph in paragraphs if paragraph]
    _show(paragraphs, trait, query, rng)


def _show(paragraphs: list[str], trait: Trait, query: QueryReading, rng: random.Random) -> None:
    bank = phrases()[trait]
    text = fill(rng.choice(bank.fit(query.kind).shows), query.words, rng)
    if any(text in paragraph for paragraph in paragraphs):
        return
    paragraphs.insert(0 if bank.place == "open" else len(paragraphs), text)


def _err(paragraphs: list[str], task: _Task, rng: random.Random) -> None:
    """What befalls a rewrite now and then: a trait suffers, a part is lost, it is padded or left alone."""
    roll = rng.random()
    if roll < _OVERSHOOTS:
        _spoil(paragraphs, rng.choice(task.query.traits), task.query, rng)
    elif roll < _LOSES and len(paragraphs) > 1:
        del paragraphs[rng.randrange(len(paragraphs))]
    elif roll < _PADS:
        _spoil(paragraphs, Trait.CONCISENESS, task.query, rng)
    elif roll < _IDLES:
        paragraphs[:] = task.answer.split(_PARAGRAPH)


def _spoil(paragraphs: list[str], trait: Trait, query: QueryReading, rng: random.Random) -> None:
    lacks = phrases()[trait].fit(query.kind).lacks
    paragraphs.append(fill(rng.choice(lacks), query.words, rng))
