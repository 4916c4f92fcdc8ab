"""The simulated reader of instructions: says what each is about. It errs, and knows its message alone."""

import json
import random

from app.backend_settings import USUAL_WORLD, SimulatedWorldSettings
from app.llm.simulated.draws import Draw, generator
from app.llm.simulated.reading import read_instructions
from app.llm.simulated.sections import quoted, section, subsections
from app.llm.simulated.traits import Trait, match_trait

TASK = "# Task: say what instructions do"

_MISREADS = 0.15
"""Probability that it takes an instruction for something else, or for nothing."""
_TAKES_IT_FOR_SOMETHING = 0.7
_UNSKILLED = 0.5
"""How much more often it does so where it writes no instruction well."""


def read(message: str, seed: int, draw: Draw, character: SimulatedWorldSettings = USUAL_WORLD) -> str:
    """The reply to a message: for each instruction the criteria that it raises, and those that it lowers.

    Args:
        message: the user message, as the reader's template makes it.
        seed: the world's seed.
        draw: which sample; at temperature 0 it misreads the same every time.
        character: how this critic differs from the usual one; its skill as a proposer counts here, too.
    """
    names = [line[2:].strip() for line in section(message, "## Criteria") if line.startswith("- ")]
    traits = {name: trait for name in names if (trait := match_trait(name)) is not None}
    misreads = _MISREADS + _UNSKILLED * (1 - character.proposer_skill)
    entries = []
    parts = subsections(section(message, "## Instructions"), "### Instruction")
    for number, (_, lines) in enumerate(parts, start=1):
        text = quoted(lines)
        rng = generator(seed, "reader", text, draw.seed if draw.temperature > 0 else 0)
        means = _mistaken(rng) if rng.random() < misreads else _meant(text)
        entries.append(
            {
                "number": number,
                "raises": [name for name, trait in traits.items() if means.get(trait, 0) > 0],
                "lowers": [name for name, trait in traits.items() if means.get(trait, 0) < 0],
            }
        )
    return json.dumps({"instructions": entries}, ensure_ascii=False)


def _meant(text: str) -> dict[Trait, float]:
    return {item.trait: item.strength for item in read_instructions(text).instructions}


def _mistaken(rng: random.Random) -> dict[Trait, float]:
    """What it takes an instruction for that it misreads."""
    return {rng.choice(list(Trait)): 1.0} if rng.random() < _TAKES_IT_FOR_SOMETHING else {}
