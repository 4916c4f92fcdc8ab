"""One rewrite at a time by the paper's proposer, from a few evaluations of one prompt."""

from collections.abc import Sequence

from benchmarks.lab import Lab
from optimizer.proposers.rewriting import RewritingProposer
from optimizer.types import BeamPath, Candidate, Evaluation, Step

EVALUATIONS_SHOWN = 3
"""Evaluations that a rewrite is made from, as many as in a minibatch of GEPA."""


class SingleRewrites:
    """Asks the lab's proposer for rewrites; each is a draw of its own."""

    def __init__(self, lab: Lab) -> None:
        """Rewrites in ``lab``."""
        config = lab.config
        self._proposer = RewritingProposer(
            lab.critic, config.proposer.to_sampling(), history=1, seed=config.seed
        )
        self._made = 0

    async def rewrite(self, prompt: str, evaluations: Sequence[Evaluation]) -> str | None:
        """Another prompt, or None where the reply cannot be read.

        Raises:
            BudgetExceededError: no call left.
        """
        step = Step(candidate=Candidate(id="parent", system_prompt=prompt), evaluations=tuple(evaluations))
        self._made += 1
        proposals = await self._proposer.propose(
            BeamPath(steps=(step,)), round_number=self._made, slot=0, draw=self._made, count=1
        )
        return proposals[0].system_prompt
