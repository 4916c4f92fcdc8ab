"""Random search: rewrites of random parents, all judged on the same few queries; the best mean wins."""

import random

from benchmarks.lab import Lab
from benchmarks.search_methods.single_rewrites import EVALUATIONS_SHOWN, SingleRewrites
from optimizer.beam import mean_reward
from optimizer.errors import BudgetExceededError
from optimizer.seeds import derive_seed
from optimizer.types import Candidate, Step

QUERIES_BY_CALLS = ((200, 6), (1000, 8), (5000, 20))
"""Under a budget of at most so many calls, the queries that every prompt is judged on."""


async def search_randomly(lab: Lab, start: str) -> str:
    """The prompt with the best mean reward among those that the budget allows; a parent is any of them."""
    rng = random.Random(derive_seed(lab.config.seed, "random search"))
    calls = lab.budget.limits.calls or 0
    size = next((size for most, size in QUERIES_BY_CALLS if calls <= most), QUERIES_BY_CALLS[-1][1])
    shared = lab.queries[:size]
    rewrites = SingleRewrites(lab)
    judged: list[Step] = []
    try:
        prompt: str | None = start
        while True:
            if prompt is not None:
                candidate = Candidate(id=f"c{len(judged)}", system_prompt=prompt)
                judged.append(await lab.evaluator.evaluate(candidate, shared, round_number=0))
            parent = rng.choice(judged)
            shown = rng.sample(parent.evaluations, min(EVALUATIONS_SHOWN, size))
            prompt = await rewrites.rewrite(parent.candidate.system_prompt, shown)
    except BudgetExceededError:
        best = max(judged, key=lambda step: mean_reward([step]) or 0.0, default=None)
        return best.candidate.system_prompt if best else start
