"""The racing search with the settings of preset ``default``."""

from typing_extensions import override

from benchmarks.lab import Lab, Silence
from optimizer.budget import Budget
from optimizer.config import PRESETS, SearchConfig
from optimizer.proposers.reading import ModelInstructionReader
from optimizer.proposers.reflecting import ReflectingProposer
from optimizer.protocols import SearchLimits
from optimizer.racing_search import RacingParts, RacingSearch
from rewards.pairwise import ModelPairwiseJudge


class _AllForTheSearch(SearchLimits):
    """The whole budget: there is no gate to keep anything for."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    @override
    def exhausted(self, calls_needed: int) -> bool:
        return self._budget.exhausted(calls_needed)

    @override
    def affordable_calls(self, made: int) -> int | None:
        limit = self._budget.limits.calls
        return None if limit is None else max(0, limit - made)


def racing_settings(_calls: int) -> SearchConfig:
    """The preset, which plans by the budget itself."""
    return PRESETS["default"]


async def search_racing(lab: Lab, start: str) -> str:
    """The prompt that the racing search ends with."""
    config = lab.config
    sampling = config.proposer.to_sampling()
    reader = ModelInstructionReader(lab.critic, sampling, seed=config.seed)
    parts = RacingParts(
        proposer=ReflectingProposer(lab.critic, sampling, seed=config.seed),
        reader=reader if config.reads_instructions else None,
        evaluator=lab.evaluator,
        pairwise=ModelPairwiseJudge(lab.judge, lab.scorer.selection, sampling=config.judge.to_sampling()),
        observer=Silence(),
        limits=_AllForTheSearch(lab.budget),
    )
    found = await RacingSearch(config, parts).run(start, lab.queries)
    return found.best.system_prompt
