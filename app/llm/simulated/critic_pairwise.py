"""The simulated judge of pairs: fine, noisy, fond of the first answer. It knows its message alone."""

import json
from statistics import fmean

from app.backend_settings import USUAL_WORLD, SimulatedWorldSettings
from app.llm.simulated.critic_judge import judge_one
from app.llm.simulated.draws import Draw, generator
from app.llm.simulated.plain import plain
from app.llm.simulated.sections import items, quoted, section

TASK = "# Task: compare two answers"

_NOISE = 0.3
_HEAT = 0.3
_LEANS_TO_FIRST = 0.2
_TIE_WITHIN = 0.25


def compare(message: str, seed: int, draw: Draw, character: SimulatedWorldSettings = USUAL_WORLD) -> str:
    """The reply to a message that asks which of two answers is better.

    Unlike the scores, what it sees is neither rounded nor cut off at 5, so that it tells apart what scores
    alike.

    Args:
        message: the user message, as the template makes it.
        seed: the world's seed, for the noise.
        draw: which sample.
        character: how this judge differs from the usual one.
    """
    criteria = items(section(message, "## Criteria"))
    answers = [plain(quoted(section(message, f"## Answer {name}"))) for name in "AB"]
    rng = generator(seed, "pairwise", message)
    longer = len(answers[1].split()) - len(answers[0].split())
    noise = character.judge_length_preference * longer / 100 + rng.gauss(0, _NOISE * character.judge_noise)
    if draw.temperature > 0:
        rng = generator(seed, "pairwise", draw.seed, draw.index, message)
        noise += rng.gauss(0, _HEAT * min(2.0, draw.temperature))
    differences = []
    for name, description in criteria:
        first, second = (judge_one(answer, name, description, rng) for answer in answers)
        differences.append((second.score - first.score, f"A, {first.rationale} B, {second.rationale}"))
    lead = fmean(gap for gap, _ in differences) + noise - _LEANS_TO_FIRST if differences else 0.0
    better = "tie" if abs(lead) < _TIE_WITHIN else "B" if lead > 0 else "A"
    told = max(differences, key=lambda item: abs(item[0]), default=(0.0, "No criterion."))[1]
    return json.dumps({"differences": told, "better": better}, ensure_ascii=False)
