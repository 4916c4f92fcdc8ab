"""The simulated judge: lenient, saturating, noisy. It knows nothing but its message."""

import json
import random
from dataclasses import dataclass

from app.backend_settings import USUAL_WORLD, SimulatedWorldSettings
from app.llm.simulated.answers import read_signs
from app.llm.simulated.banks import lexicon, signs
from app.llm.simulated.draws import Draw, generator
from app.llm.simulated.plain import hits, plain
from app.llm.simulated.sections import items, quoted, section
from app.llm.simulated.traits import Trait, match_trait

TASK = "# Task: score an answer"
HARSH_TASK = "# Task: find the faults of an answer"

_NEUTRAL = 3.9
_SEVERITY = 0.9
"""What a judge that is told to look for faults takes off every score."""
_SHOWN = (0.0, 0.85, 1.5)
_LACKING = (0.0, -1.2, -2.2)
NOISE = 0.4
"""Deviation of what it thinks of an answer from what there is to see."""
_HEAT = 0.4
_TELLING = 4
"""Letters that a word of a description has more of to be looked for."""
_USUAL_WORDS = 80
_SHORT = 6
"""Words below which an answer can hardly be good on anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the judge thinks of an answer on one criterion; ``score`` is neither rounded nor clamped."""

    score: float
    rationale: str


def judge_harshly(
    message: str, seed: int, draw: Draw, character: SimulatedWorldSettings = USUAL_WORLD
) -> str:
    """As ``judge``, but told to look for faults."""
    return judge(message, seed, draw, character, severity=_SEVERITY)


def judge(
    message: str,
    seed: int,
    draw: Draw,
    character: SimulatedWorldSettings = USUAL_WORLD,
    *,
    severity: float = 0.0,
) -> str:
    """The reply to a judge message: a score and a reason for each criterion that it names.

    Args:
        message: the user message, as the judge's template makes it.
        seed: the world's seed, for the noise.
        draw: which sample.
        character: how this judge differs from the usual one.
        severity: taken off each score.
    """
    answer, lenience = read_answer(message, character)
    lenience -= severity
    scores = []
    for name, description in items(section(message, "## Criteria")):
        rng = generator(seed, "judge", name, message)
        noise = rng.gauss(0, NOISE * character.judge_noise)
        if draw.temperature > 0:
            rng = generator(seed, "judge", draw.seed, draw.index, name, message)
            noise += rng.gauss(0, _HEAT * min(2.0, draw.temperature))
        verdict = judge_one(answer, name, description, rng)
        score = max(1, min(5, round(verdict.score + lenience + noise)))
        scores.append({"criterion": name, "rationale": verdict.rationale, "score": score})
    return json.dumps({"scores": scores}, ensure_ascii=False)


def read_answer(message: str, character: SimulatedWorldSettings) -> tuple[str, float]:
    """The answer in a judge message as plain text, and what is added to each of its scores."""
    answer = plain(quoted(section(message, "## Answer")))
    length = character.judge_length_preference * (len(answer.split()) - _USUAL_WORDS) / 100
    return answer, character.judge_leniency + length


def judge_one(answer: str, name: str, description: str, rng: random.Random) -> Verdict:
    """What the signs in ``answer`` (plain text) say on a criterion, without noise."""
    trait = match_trait(name)
    traits = [trait] if trait is not None else _traits_of(description)
    too_short = 2.0 if answer.count(" ") - 1 < _SHORT else 0.0
    if not traits:
        return _judge_by_words(answer, description, too_short)
    verdicts = [_judge_trait(answer, trait, rng) for trait in traits]
    worst = min(verdicts, key=lambda verdict: verdict.score)
    mean = sum(verdict.score for verdict in verdicts) / len(verdicts)
    reason = "Hardly an answer at all" if too_short else worst.rationale
    return Verdict(score=mean - too_short, rationale=reason)


def _judge_trait(answer: str, trait: Trait, rng: random.Random) -> Verdict:
    entry = signs()[trait]
    seen = read_signs(answer, trait)
    shown = min(2, len(seen.shows))
    lacking = min(2, len(seen.lacks))
    score = _NEUTRAL + _SHOWN[shown] + _LACKING[lacking]
    if lacking:
        cue = rng.choice(seen.lacks).strip()
        return Verdict(score=score, rationale=f'{trait}: {entry.missing} ("{cue} ...").')
    if shown:
        cue = rng.choice(seen.shows).strip()
        return Verdict(score=score, rationale=f'{trait}: {entry.seen} ("{cue} ...").')
    return Verdict(score=score, rationale=f"{trait}: nothing wrong, but {entry.seen} only in part.")


def _traits_of(description: str) -> list[Trait]:
    """The known traits that a criterion of somebody's own speaks of."""
    words = plain(description)
    return [
        trait
        for trait, entry in lexicon().traits.items()
        if hits(words, (*entry.asks, *entry.warns, *entry.topics))
    ]


def _judge_by_words(answer: str, description: str, too_short: float) -> Verdict:
    telling = {word[:6] for word in plain(description).split() if len(word) > _TELLING}
    shared = sum(f" {stem}" in answer for stem in telling)
    return Verdict(
        score=3.2 + min(1.6, 0.8 * shared) - too_short,
        rationale="Judged by its description alone: " + ("it shows." if shared else "little of it shows."),
    )
