"""The loop: expand, evaluate, keep, announce, stop (beam search over prompts, arXiv 2411.08733)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from optimizer.beam import (
    Ranked,
    RoundQuery,
    baselines,
    kept_reason,
    mean_reward,
    path_reward,
    rank,
    same_before,
)
from optimizer.concurrency import run_together
from optimizer.config import SearchConfig
from optimizer.errors import BudgetExceededError, InvalidInputError
from optimizer.estimate import USUAL_RATES, CallRates, round_calls, seed_calls
from optimizer.evaluation import Evaluator
from optimizer.events import RankedPath, RoundFinished, RoundStarted, SearchFinished, SearchStarted
from optimizer.expansion import Expander
from optimizer.protocols import Proposer, SearchObserver, StopCondition
from optimizer.types import BeamPath, Candidate, Query, SearchResult, StopReason, Unscored

ENOUGH_TO_DOUBT = 10
"""Evaluations from which on the share of unscored ones is looked at between rounds."""


@dataclass(kw_only=True, slots=True)
class _Progress:
    """Where a search stands between rounds; ``round`` is the next one."""

    limit: int
    beam: list[BeamPath] = field(default_factory=list)
    known: dict[RoundQuery, float] = field(default_factory=dict)
    round: int = 0
    evaluations: int = 0
    unscored: int = 0


class BeamSearch:
    """Searches the system prompt that makes a target answer best."""

    def __init__(
        self,
        *,
        config: SearchConfig,
        proposer: Proposer,
        evaluator: Evaluator,
        observer: SearchObserver,
        stop: StopCondition,
        rates: CallRates = USUAL_RATES,
    ) -> None:
        """A search over one target; everything that talks to the outside is passed in."""
        self._rates = rates
        self._config = config
        self._evaluator = evaluator
        self._expander = Expander(proposer, evaluator, observer, proposals=config.proposals_per_candidate)
        self._observer = observer
        self._stop = stop

    async def run(self, seed_prompt: str, queries: Sequence[Query]) -> SearchResult:
        """Search from ``seed_prompt`` over ``queries`` in their order, one minibatch a round.

        Raises:
            InvalidInputError: there are fewer queries than one minibatch.
            ModelError: a backend cannot be used.
        """
        size = self._config.minibatch_size
        minibatches = [queries[at : at + size] for at in range(0, len(queries) - size + 1, size)]
        if not minibatches:
            raise InvalidInputError(
                f"a round takes {size} queries, there are {len(queries)}", param="queries"
            )
        seed = Candidate(id="c0", system_prompt=seed_prompt)
        await self._observer.notify(
            SearchStarted(seed_prompt=seed, max_rounds=self._config.max_rounds, queries=len(queries))
        )
        progress = _Progress(limit=min(self._config.depth, len(minibatches)))
        try:
            reason = await self._run_rounds(progress, seed, minibatches)
        except BudgetExceededError:
            reason = StopReason.BUDGET  # the round under way is dropped: not all of it was judged
        if self._is_doubtful(progress):
            reason = StopReason.UNSCORED
        result = self._result(progress, seed, reason)
        await self._observer.notify(SearchFinished(result=result))
        return result

    async def _run_rounds(
        self, progress: _Progress, seed: Candidate, minibatches: Sequence[Sequence[Query]]
    ) -> StopReason:
        while progress.round < progress.limit:
            if progress.evaluations >= ENOUGH_TO_DOUBT and self._is_doubtful(progress):
                return StopReason.UNSCORED
            kept = [kept_reason(path.last, self._config.skip_threshold) for path in progress.beam]
            if self._stop.exhausted(self._calls_of_next_round(kept)):
                return StopReason.BUDGET
            if any(kept):
                longest = self._config.depth + self._config.max_depth_increase
                progress.limit = min(progress.limit + 1, longest, len(minibatches))
            await self._run_round(progress, seed, kept, minibatches)
        return StopReason.DEPTH if progress.limit >= self._config.depth else StopReason.QUERIES

    async def _run_round(
        self,
        progress: _Progress,
        seed: Candidate,
        kept: Sequence[str | None],
        minibatches: Sequence[Sequence[Query]],
    ) -> None:
        number, minibatch = progress.round, minibatches[progress.round]
        query_ids = tuple(query.id for query in minibatch)
        await self._observer.notify(RoundStarted(round=number, query_ids=query_ids))
        draws = same_before([path.candidate.system_prompt for path in progress.beam])
        growing = [
            self._expander.expand(
                path,
                minibatch,
                round_number=number,
                slot=slot,
                draw=draws[slot],
                kept_reason=kept[slot],
            )
            for slot, path in enumerate(progress.beam)
        ]
        if number == 0:
            growing = [self._plant(seed, minibatch), self._prefetch(minibatch)]
        if number + 1 < progress.limit:
            growing.append(self._prefetch(minibatches[number + 1]))
        grown = [path for paths in await run_together(growing) for path in paths]
        await self._keep_best(progress, grown)

    async def _plant(self, seed: Candidate, minibatch: Sequence[Query]) -> list[BeamPath]:
        return [BeamPath(steps=(await self._evaluator.evaluate(seed, minibatch, round_number=0),))]

    async def _prefetch(self, minibatch: Sequence[Query]) -> list[BeamPath]:
        """Select criteria while others wait for answers; it grows no lineage."""
        await self._evaluator.prepare(minibatch)
        return []

    async def _keep_best(self, progress: _Progress, grown: Sequence[BeamPath]) -> None:
        steps = [path.last for path in grown]
        evaluations = [item for step in steps for item in step.evaluations]
        progress.evaluations += len(evaluations)
        progress.unscored += sum(isinstance(item.score, Unscored) for item in evaluations)
        progress.known |= baselines(steps)
        ranked = rank(grown, progress.known, self._config.path_aggregation)
        progress.beam = [item.path for item in ranked[: self._config.beam_width]]
        await self._observer.notify(
            RoundFinished(
                round=progress.round,
                ranking=tuple(self._describe(item, place) for place, item in enumerate(ranked)),
                rounds_left=progress.limit - progress.round - 1,
            )
        )
        progress.round += 1

    def _describe(self, item: Ranked, place: int) -> RankedPath:
        return RankedPath(
            candidate_id=item.path.candidate.id,
            reward=path_reward(item.path, self._config.path_aggregation),
            round_reward=mean_reward([item.path.last]),
            kept=place < self._config.beam_width,
        )

    def _calls_of_next_round(self, kept: Sequence[str | None]) -> int:
        if not kept:
            return seed_calls(self._config, rates=self._rates)
        skipped = sum(reason is not None for reason in kept)
        return round_calls(self._config, lineages=len(kept), skipped=skipped, rates=self._rates)

    def _is_doubtful(self, progress: _Progress) -> bool:
        return progress.unscored > self._config.max_unscored_share * progress.evaluations

    def _result(self, progress: _Progress, seed: Candidate, reason: StopReason) -> SearchResult:
        chosen = progress.beam[0] if progress.beam and reason is not StopReason.UNSCORED else None
        return SearchResult(
            best=chosen.candidate if chosen else seed,
            best_reward=path_reward(chosen, self._config.path_aggregation) if chosen else None,
            finalists=_distinct(progress.beam) if chosen else (),
            seed_prompt=seed,
            beam=tuple(progress.beam),
            rounds=max(0, progress.round - 1),
            stop_reason=reason,
            unscored=progress.unscored,
            evaluations=progress.evaluations,
        )


def _distinct(beam: Sequence[BeamPath]) -> tuple[Candidate, ...]:
    """The prompts that the lineages end in, each once."""
    found: dict[str, Candidate] = {}
    for path in beam:
        found.setdefault(path.candidate.system_prompt, path.candidate)
    return tuple(found.values())
