"""The simulated proposer: rewrites a prompt after its worst scores. It errs, and knows its message alone."""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from app.backend_settings import USUAL_WORLD, SimulatedWorldSettings
from app.llm.simulated.banks import proposals
from app.llm.simulated.draws import Draw, generator
from app.llm.simulated.queries import topic_words
from app.llm.simulated.sections import quoted, section, subsections
from app.llm.simulated.traits import Trait, match_trait

TASK = "# Task: improve a system prompt"

MOST_BULLETS = 8
_NEW = 2
_SCORE = re.compile(r"^- (?P<name>.+?): (?P<score>[\d.]+) of 5\.? ?(?P<reason>.*)$")
_REWARD = re.compile(r"mean reward ([\d.]+)")
_CONTENT = 0.35
"""How much better than the worst a score may look and still be worked on in its place."""
_BETTER = 0.3
"""How much more than the present reward an earlier prompt needs to be borrowed from."""
_BORROWS = 0.15
_STRAYS = 0.06
_OVERLOOKS = 0.15
"""Probability that an aim is overlooked and the lowest scores are worked on instead."""
_DOES_TWO = 0.7
_KEEPS_INTRO = 0.85
_BLOATS = 0.08
_LOSES, _MERGES, _BLUNTS = 0.14, 0.26, 0.32
"""Cumulative probabilities of what befalls the bullets that were there."""
_STRONG, _WEAK, _VAGUE, _OVERFIT = 0.62, 0.72, 0.82, 0.92
"""Cumulative probabilities of what a new instruction is; the rest is harmful."""
_LONGEST_BULLET = 320


@dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    """What the proposer gets to see.

    Attributes:
        means: mean score of each trait that was judged, the lowest first.
        aim: traits that are to be raised, where the message names some.
        topics: words of the judged queries.
        better: earlier prompts whose reward was above the present one's.
    """

    prompt: str
    means: tuple[tuple[Trait, float], ...]
    aim: tuple[Trait, ...]
    topics: tuple[str, ...]
    better: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Draft:
    intro: str
    bullets: list[str]


def propose(message: str, seed: int, draw: Draw, character: SimulatedWorldSettings = USUAL_WORLD) -> str:
    """The reply to a proposer message: an analysis and a whole new prompt.

    Args:
        message: the user message, as the proposer's template makes it.
        seed: the world's seed.
        draw: which sample; different ones differ also at temperature 0, as ``n`` draws in one request do.
        character: how this proposer differs from the usual one.
    """
    rng = generator(seed, "proposer", message, draw.seed if draw.temperature > 0 else 0, draw.index)
    task = _read(message)
    draft = _split(task.prompt)
    worst = _weak_traits(task, rng)
    _tidy(draft.bullets, rng)
    for trait in worst:
        addition = _instruction(trait, task, draft.bullets, rng, character.proposer_skill)
        if addition not in draft.bullets:
            draft.bullets.append(addition)
    if task.better and rng.random() < _BORROWS:
        _take_back(draft.bullets, rng.choice(task.better))
    while len(draft.bullets) > MOST_BULLETS:
        del draft.bullets[rng.randrange(len(draft.bullets) - len(worst))]
    reply = {"analysis": _analysis(worst, rng), "system_prompt": _render(draft, rng)}
    return json.dumps(reply, ensure_ascii=False)


def _read(message: str) -> _Task:
    evaluations = section(message, "## Evaluations")
    means = _mean_scores(section(message, "## All criteria")) or _mean_scores(evaluations)
    present = fmean(mean for _, mean in means) if means else 5.0
    texts = [quoted(lines) for _, lines in subsections(evaluations, "### Evaluation")]
    return _Task(
        prompt=quoted(section(message, "## Current prompt")),
        means=tuple(means),
        aim=tuple(trait for trait, _ in _mean_scores(section(message, "## Aim"))),
        topics=topic_words(texts[0]) if texts else (),
        better=_better_prompts(message, present),
    )


def _mean_scores(lines: Sequence[str]) -> list[tuple[Trait, float]]:
    """Mean of the scores in ``lines`` for each trait, the lowest first."""
    scores: dict[Trait, list[float]] = {}
    for line in lines:
        match = _SCORE.match(line)
        trait = match_trait(match["name"]) or match_trait(match["reason"]) if match else None
        if match and trait is not None:
            scores.setdefault(trait, []).append(float(match["score"]))
    return sorted(((trait, fmean(values)) for trait, values in scores.items()), key=lambda pair: pair[1])


def _better_prompts(message: str, present: float) -> tuple[str, ...]:
    earlier = subsections(section(message, "## Earlier prompts"), "### Prompt")
    return tuple(
        quoted(lines)
        for heading, lines in earlier
        if (reward := _REWARD.search(heading)) and float(reward[1]) > present + _BETTER
    )


def _split(prompt: str) -> _Draft:
    """What stands before the first bullet, and the bullets; lines below a bullet belong to it."""
    intro: list[str] = []
    bullets: list[str] = []
    for line in prompt.split("\n"):
        text = line.strip()
        if text.startswith(("- ", "* ")):
            bullets.append(text[2:].strip())
        elif bullets and text:
            bullets[-1] = f"{bullets[-1]} {text}"
        elif text:
            intro.append(text)
    return _Draft(intro="\n".join(intro), bullets=bullets)


def _weak_traits(task: _Task, rng: random.Random) -> list[Trait]:
    """One or two traits to work on: as a rule those with the lowest scores, now and then any."""
    if not task.means or rng.random() < _STRAYS:
        return rng.sample(list(Trait), rng.randint(1, _NEW))
    if task.aim and rng.random() >= _OVERLOOKS:
        count = _NEW if rng.random() < _DOES_TWO else 1
        return rng.sample(task.aim, min(count, len(task.aim)))
    lowest = task.means[0][1]
    near = [trait for trait, mean in task.means if mean <= lowest + _CONTENT]
    rng.shuffle(near)
    rest = [trait for trait, _ in task.means if trait not in near]
    count = _NEW if rng.random() < _DOES_TWO else 1
    return (near + rest)[:count]


def _tidy(bullets: list[str], rng: random.Random) -> None:
    """What a rewriter does to the bullets it was given: mostly nothing, at times it loses one."""
    roll = rng.random()
    if len(bullets) > 1 and roll < _LOSES:
        del bullets[rng.randrange(len(bullets))]
    elif len(bullets) > 1 and roll < _MERGES:
        first = bullets.pop(rng.randrange(len(bullets)))
        at = rng.randrange(len(bullets))
        bullets[at] = f"{bullets[at].rstrip('.')}; {first[:1].lower()}{first[1:]}"[:_LONGEST_BULLET]
    elif bullets and roll < _BLUNTS:
        bullets[rng.randrange(len(bullets))] = rng.choice(proposals().vague)


def _instruction(trait: Trait, task: _Task, present: Sequence[str], rng: random.Random, skill: float) -> str:
    bank = proposals().traits[trait]
    roll = rng.random()
    if skill < 1 and rng.random() >= skill:
        roll = _STRONG + (1 - _STRONG) * roll
    if roll < _STRONG:
        fresh = [text for text in bank.strong if text not in present] or list(bank.strong)
        return rng.choice(fresh)
    if roll < _WEAK:
        return rng.choice(bank.weak)
    if roll < _VAGUE:
        return rng.choice(proposals().vague)
    if roll < _OVERFIT and task.topics:
        return f"When asked about {rng.choice(task.topics)}, mention {rng.choice(task.topics)} as well."
    return rng.choice(bank.harmful)


def _take_back(bullets: list[str], earlier: str) -> None:
    """Restore a bullet that an earlier, better prompt had."""
    lost = [bullet for bullet in _split(earlier).bullets if bullet not in bullets]
    if lost:
        bullets.append(lost[0])


def _render(draft: _Draft, rng: random.Random) -> str:
    keeps = draft.bullets and draft.intro and rng.random() < _KEEPS_INTRO
    intro = draft.intro if keeps else rng.choice(proposals().intros)
    bullets = list(draft.bullets[:MOST_BULLETS])
    lines = [intro, "", *(f"- {bullet}" for bullet in bullets)]
    if rng.random() < _BLOATS:
        lines.insert(1, " ".join(rng.sample(proposals().bloat, 2)))
    return "\n".join(lines)


def _analysis(worst: Sequence[Trait], rng: random.Random) -> str:
    first, second = worst[0], worst[-1]
    return rng.choice(proposals().analyses).format(first=first, second=second)
