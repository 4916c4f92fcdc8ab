"""The simulated judge that grades by digits: what it would write at each place, and how likely.

It sees the signs that the judge sees. It writes no reasons first, which is taken to make it err more.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from app.backend_settings import USUAL_WORLD, SimulatedWorldSettings
from app.llm.simulated.critic_judge import NOISE, judge_one, read_answer
from app.llm.simulated.draws import Draw, generator
from app.llm.simulated.sections import items, section
from optimizer.types import JsonObject, JsonValue

TASK = "# Task: grade an answer by digits"

_HASTE = 1.25
"""How much larger its error is than that of the judge who writes reasons first."""
_DOUBT = 0.6
"""Deviation of what it holds possible around what it thinks; below 1 it is surer than it may be."""
_CUTS = (1.5, 2.5, 3.5, 4.5)
_LABELS = ("1", "2", "3", "4", "5")
_ASIDE = 0.02
"""Probability that it keeps for what is no label."""
_LEAST = 1e-9


def grade(message: str, seed: int, draw: Draw, character: SimulatedWorldSettings = USUAL_WORLD) -> str:
    """The reply to a message: a digit a line, the likeliest one, or a draw where it is warm."""
    digits = []
    for place, belief in enumerate(read_beliefs(message, seed, character)):
        rng = generator(seed, "labels", draw.seed, draw.index, place, message)
        warm = draw.temperature > 0
        digits.append(
            rng.choices(_LABELS, [belief[label] ** (1 / draw.temperature) for label in _LABELS])[0]
            if warm
            else max(_LABELS, key=lambda label: belief[label])
        )
    return "\n".join(digits)


def read_beliefs(
    message: str, seed: int, character: SimulatedWorldSettings = USUAL_WORLD
) -> list[Mapping[str, float]]:
    """The probability of each label for each criterion of a judge message; together a little below 1."""
    answer, lenience = read_answer(message, character)

    def belief(name: str, description: str) -> Mapping[str, float]:
        rng = generator(seed, "labels", name, message)
        noise = rng.gauss(0, _HASTE * NOISE * character.judge_noise)
        thought = NormalDist(judge_one(answer, name, description, rng).score + lenience + noise, _DOUBT)
        below = [0.0, *map(thought.cdf, _CUTS), 1.0]
        return {
            label: (1 - _ASIDE) * max(_LEAST, above - under)
            for label, under, above in zip(_LABELS, below[:-1], below[1:], strict=True)
        }

    return [belief(name, description) for name, description in items(section(message, "## Criteria"))]


def token_logprobs(text: str, beliefs: Sequence[Mapping[str, float]], alternatives: int) -> JsonObject:
    """``text`` as a choice's ``logprobs``: a token a digit, and one for each line's end.

    As vLLM does it, the token written stands first among the alternatives and takes one of their places.
    """
    content: list[JsonValue] = []
    for digit, belief in zip(text.split("\n"), beliefs, strict=False):
        if content:
            content.append({"token": "\n", "logprob": 0.0, "bytes": [10], "top_logprobs": []})
        ranked = [digit, *sorted((label for label in belief if label != digit), key=lambda one: -belief[one])]
        shown: list[JsonValue] = [_entry(label, belief.get(label, _LEAST)) for label in ranked[:alternatives]]
        content.append({**_entry(digit, belief.get(digit, _LEAST)), "top_logprobs": shown})
    return {"content": content}


def _entry(token: str, probability: float) -> JsonObject:
    return {"token": token, "logprob": math.log(probability), "bytes": list(token.encode())}
