"""GEPA (package ``gepa``) on the lab's roles: the same target, scorer, proposer and budget as the others.

Its evaluation asks the lab's evaluator and its proposals come from the paper's proposer, shown the
evaluations of GEPA's minibatch; which prompt to work on, on which queries, and what to keep is GEPA's, with
its defaults: Pareto selection, minibatches of three. Training and validation queries are the same, which is
GEPA's default and did better than two sets. Merging is off: it combines candidates that consist of several
texts, and here there is one. The same prompt on the same query is judged once, as the call ledger of a job
would see to: so a minibatch costs the parent nothing, and an accepted child only the queries left.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from gepa.api import optimize
from gepa.core.adapter import EvaluationBatch, GEPAAdapter, ProposalFn
from gepa.core.result import GEPAResult
from gepa.core.state import GEPAState
from gepa.logging.logger import LoggerProtocol
from gepa.utils import StopperProtocol
from typing_extensions import override

from benchmarks.lab import Lab
from benchmarks.search_methods.single_rewrites import EVALUATIONS_SHOWN, SingleRewrites
from optimizer.errors import BudgetExceededError
from optimizer.types import Candidate, Evaluation, Query, Scored

T = TypeVar("T")
Batch = EvaluationBatch[Evaluation, Evaluation]

QUERIES_BY_CALLS = ((1000, 8), (5000, 20))
"""Under a budget of at most so many calls, the queries that GEPA is given."""
_TEXT = "system_prompt"


class _Silent(LoggerProtocol):
    @override
    def log(self, message: str) -> None:
        pass


class _LabAdapter(GEPAAdapter[Query, Evaluation, Evaluation], StopperProtocol):
    """What GEPA asks, called in its thread and answered on the lab's loop."""

    def __init__(self, lab: Lab, loop: asyncio.AbstractEventLoop) -> None:
        self._lab = lab
        self._loop = loop
        self._rewrites = SingleRewrites(lab)
        self._judged: dict[tuple[str, str], Evaluation] = {}
        self.propose_new_texts: ProposalFn | None = self._propose
        self.ended_by: Exception | None = None

    @override
    def __call__(self, gepa_state: GEPAState[Evaluation, int]) -> bool:
        # Iterations that find all perfect make no call; so their number is bounded, too.
        return self.ended_by is not None or gepa_state.i >= (self._lab.budget.limits.calls or 0)

    @override
    def evaluate(self, batch: list[Query], candidate: dict[str, str], capture_traces: bool = False) -> Batch:
        found = self._wait(self._evaluate(batch, candidate[_TEXT]))
        scores = [_share(item) for item in found]
        return EvaluationBatch(outputs=found, scores=scores, trajectories=found if capture_traces else None)

    @override
    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Batch, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        records = [{"evaluation": item} for item in eval_batch.trajectories or ()]
        return dict.fromkeys(components_to_update, records)

    def _propose(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],  # noqa: ARG002 - GEPA's interface; there is one text
    ) -> dict[str, str]:
        shown = [record["evaluation"] for record in reflective_dataset[_TEXT]]
        prompt = self._wait(self._rewrites.rewrite(candidate[_TEXT], shown))
        return {} if prompt is None else {_TEXT: prompt}

    async def _evaluate(self, queries: Sequence[Query], prompt: str) -> list[Evaluation]:
        missing = [query for query in queries if (prompt, query.id) not in self._judged]
        candidate = Candidate(id="gepa", system_prompt=prompt)
        step = await self._lab.evaluator.evaluate(candidate, missing, round_number=0)
        self._judged |= {(prompt, item.rollout.query.id): item for item in step.evaluations}
        return [self._judged[prompt, query.id] for query in queries]

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work`` on the loop. GEPA logs what is raised and goes on, so that is kept."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except Exception as error:
            self.ended_by = self.ended_by or error
            raise


def _share(evaluation: Evaluation) -> float:
    """The reward as 0..1, GEPA's scale. Simulated models without faults leave nothing unscored."""
    if not isinstance(evaluation.score, Scored):
        raise TypeError(f"GEPA has no place for an answer without a score: {evaluation.score.reason}")
    return (evaluation.score.reward - 1) / 4


async def search_with_gepa(lab: Lab, start: str) -> str:
    """GEPA's best candidate when the lab's budget is used up."""
    calls = lab.budget.limits.calls or 0
    size = next((size for most, size in QUERIES_BY_CALLS if calls <= most), QUERIES_BY_CALLS[-1][1])
    adapter = _LabAdapter(lab, asyncio.get_running_loop())
    try:
        found: GEPAResult[Evaluation, int] = await asyncio.to_thread(
            optimize,
            seed_candidate={_TEXT: start},
            trainset=list(lab.queries[:size]),
            adapter=adapter,
            reflection_minibatch_size=EVALUATIONS_SHOWN,
            stop_callbacks=adapter,
            logger=_Silent(),
            seed=lab.config.seed,
            raise_on_exception=False,
        )
    except BudgetExceededError:
        return start  # not even the first prompt's validation was affordable
    if adapter.ended_by is not None and not isinstance(adapter.ended_by, BudgetExceededError):
        raise adapter.ended_by
    best = found.best_candidate
    return best if isinstance(best, str) else best[_TEXT]
