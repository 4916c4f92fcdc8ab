"""The loop of the default search: screen, then propose, race, keep and stop, then a final.

Unlike the paper's it judges every candidate of a round on the same minibatch, stops judging losers early,
pools all evaluations (``surrogate``), and puts the instructions together that have done best.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from typing_extensions import override

from optimizer.bearing import InstructionReader
from optimizer.config import RacingConfig, SearchConfig
from optimizer.errors import BudgetExceededError, InvalidInputError
from optimizer.estimate import USUAL_RATES, CallRates
from optimizer.evaluation import Evaluator
from optimizer.events import RankedPath, RoundFinished, RoundStarted, SearchFinished, SearchStarted
from optimizer.final import Final
from optimizer.generation import Generation
from optimizer.plan import SearchPlan, plan_search, planned_calls
from optimizer.protocols import PairwiseJudge, Reflector, SearchLimits, SearchObserver, StopCondition
from optimizer.race import Course, Race
from optimizer.seeds import derive_seed
from optimizer.standings import SEED_ID, Standings
from optimizer.types import Candidate, Query, Scored, SearchResult, StopReason

_ENOUGH_TO_DOUBT = 10
_LIKELY = 0.8
"""What a query that calls for a criterion aimed at gains in the draw of a minibatch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RacingParts:
    """What a racing search talks to.

    Attributes:
        proposer: writes new prompts to a brief.
        evaluator: runs and judges candidates.
        pairwise: compares answers where means tie; None for not at all.
        observer: hears what happens.
        limits: say how many calls there are, and whether there are any for more.
        rates: what scoring takes.
        reader: says what new instructions are about; None: they are taken for what they were written for.
    """

    proposer: Reflector
    evaluator: Evaluator
    pairwise: PairwiseJudge | None
    observer: SearchObserver
    limits: SearchLimits
    rates: CallRates = USUAL_RATES
    reader: InstructionReader | None = None


@dataclass(kw_only=True, slots=True)
class _Progress:
    """Where a search stands.

    Attributes:
        pool / spare: the queries in use, and those that may join them.
        round: the next one.
        announced: the last one that began; the final has a number of its own, also after one that was cut.
        requests / readings: requests to the proposer and to the reader so far.
        leaders: the best candidate after each round.
    """

    standings: Standings
    plan: SearchPlan
    pool: list[Query]
    spare: list[Query]
    round: int = 0
    announced: int = -1
    requests: int = 0
    readings: int = 0
    leaders: list[str] = field(default_factory=list)
    winner: str = SEED_ID

    def calls(self, rates: CallRates) -> int:
        """The calls that have been made, without repairs and retries."""
        return self.standings.calls(rates) + rates.proposal * self.requests + self.readings


class _Planned(StopCondition):
    """The search's limits, and its plan: it ends with the calls planned for, also where there are more."""

    def __init__(self, limits: SearchLimits, progress: _Progress, rates: CallRates) -> None:
        self._limits = limits
        self._progress = progress
        self._rates = rates

    @override
    def exhausted(self, calls_needed: int) -> bool:
        progress = self._progress
        if progress.calls(self._rates) + calls_needed > progress.plan.calls:
            return True
        return self._limits.exhausted(calls_needed)


class RacingSearch:
    """Searches the system prompt that makes a target answer best, within a plan for its calls."""

    def __init__(self, config: SearchConfig, parts: RacingParts) -> None:
        """A search over one target.

        Raises:
            ValueError: the settings are those of a beam search.
        """
        if config.racing is None:
            raise ValueError("the settings are those of a beam search")
        self._config = config
        self._racing: RacingConfig = config.racing
        self._parts = parts

    async def run(self, seed_prompt: str, queries: Sequence[Query]) -> SearchResult:
        """Search from ``seed_prompt``; the first of ``queries`` are those that it screens.

        Raises:
            InvalidInputError: there are fewer than two queries.
            ModelError: a backend cannot be used.
        """
        if len(queries) < 2:  # noqa: PLR2004 - one to learn from, one to compare on
            raise InvalidInputError(f"a search takes 2 queries, there are {len(queries)}", param="queries")
        seed = Candidate(id=SEED_ID, system_prompt=seed_prompt)
        plan, rates = self._plan(0, len(queries)), self._parts.rates
        progress = _Progress(
            standings=Standings(seed, length_price=self._racing.length_price),
            plan=plan,
            pool=list(queries[: plan.screening]),
            spare=list(queries[plan.screening :]),
        )
        await self._parts.observer.notify(
            SearchStarted(
                seed_prompt=seed,
                max_rounds=plan.rounds_after(0, rates=rates),
                queries=len(queries),
            )
        )
        race = self._race(progress)
        try:
            reason = await self._run_rounds(progress, race)
        except BudgetExceededError:
            reason = StopReason.BUDGET
        await self._finish(progress, race, reason)
        if self._is_doubtful(progress.standings):
            reason = StopReason.UNSCORED
        result = self._result(progress, seed, reason)
        await self._parts.observer.notify(SearchFinished(result=result))
        return result

    async def _run_rounds(self, progress: _Progress, race: Race) -> StopReason:
        standings = progress.standings
        if not await self._screen(progress, race):
            return StopReason.BUDGET
        parts = self._parts
        generation = Generation(standings, parts.proposer, parts.observer, self._config, parts.reader)
        while standings.is_fitted:
            if standings.judged >= _ENOUGH_TO_DOUBT and self._is_doubtful(standings):
                return StopReason.UNSCORED
            if self._has_converged(progress):
                return StopReason.CONVERGED
            if self._parts.limits.have_changed():
                self._plan_anew(progress)
            first, plan = progress.round == 1, progress.plan
            needed = plan.round_calls(first=first, rates=self._parts.rates) + plan.final
            if race.stop.exhausted(needed):
                return StopReason.BUDGET
            await self._run_round(progress, race, generation)
        return StopReason.UNSCORED

    async def _screen(self, progress: _Progress, race: Race) -> bool:
        """Try the seed prompt on the screening queries, then plan by what calls have taken."""
        if race.stop.exhausted(race.calls([SEED_ID], progress.pool)):
            return False
        await self._announce_round(progress, progress.pool)
        await race.answer([SEED_ID], progress.pool, progress.round)
        rates = self._parts.rates
        made = len(progress.pool) * (rates.rollout + rates.query)
        progress.plan = self._plan(made, len(progress.pool) + len(progress.spare))
        await self._end_round(progress, [SEED_ID], progress.pool, kept=[SEED_ID])
        return True

    async def _run_round(self, progress: _Progress, race: Race, generation: Generation) -> None:
        number, plan, standings = progress.round, progress.plan, progress.standings
        requests = plan.first_requests if number == 1 else plan.requests
        progress.requests += requests
        made, aims = await generation.propose(number, requests)
        progress.readings = generation.readings
        await standings.refit()
        made += await generation.recombine(number, plan.recombinations)
        await standings.refit()
        entrants = self._choose_entrants(progress, made)
        joining, progress.spare = progress.spare[: plan.fresh], progress.spare[plan.fresh :]
        progress.pool += joining
        minibatch = self._minibatch(progress, aims)
        await self._announce_round(progress, minibatch)
        left = await race.run(
            entrants,
            Course(
                round=number,
                queries=tuple(minibatch),
                block=plan.block,
                reserve=plan.final,
                keep=max(1, len(entrants) // 2),
                drop_deviations=self._racing.drop_deviations,
            ),
        )
        ranked = list(dict.fromkeys([standings.leader(), *left, *entrants]))
        await self._end_round(progress, ranked, minibatch, kept=[ranked[0], *left])

    def _choose_entrants(self, progress: _Progress, made: Sequence[str]) -> list[str]:
        """Those of the new candidates that look best on a draw: what is unknown may be good."""
        standings = progress.standings
        leader, posterior = standings.leader(), standings.posterior
        rng = random.Random(derive_seed(self._config.seed, "entrants", progress.round))
        drawn = {
            name: standings.value(name) + 0.5 * posterior.deviation(name, leader) * rng.gauss(0, 1)
            for name in made
        }
        chosen = sorted(made, key=lambda name: -drawn[name])[: progress.plan.entrants]
        return [name for name in made if name in chosen]

    def _minibatch(self, progress: _Progress, aims: frozenset[str]) -> list[Query]:
        """Queries of the pool for all candidates of a round; those that call for the aims come first."""
        rng = random.Random(derive_seed(self._config.seed, "minibatch", progress.round))
        known = progress.standings.evaluations[SEED_ID]
        drawn: dict[str, float] = {}
        for query in progress.pool:
            evaluation = known.get(query.id)
            hits = 1
            if evaluation is not None and isinstance(evaluation.score, Scored):
                hits = sum(item.criterion in aims for item in evaluation.score.criteria)
            drawn[query.id] = _LIKELY * hits + rng.random()
        ranked = sorted(progress.pool, key=lambda query: -drawn[query.id])
        return ranked[: progress.plan.block * progress.plan.blocks]

    async def _announce_round(self, progress: _Progress, queries: Sequence[Query]) -> None:
        progress.announced += 1
        started = RoundStarted(round=progress.announced, query_ids=tuple(query.id for query in queries))
        await self._parts.observer.notify(started)

    async def _end_round(
        self, progress: _Progress, ranked: Sequence[str], queries: Sequence[Query], *, kept: Sequence[str]
    ) -> None:
        standings = progress.standings
        if standings.is_fitted:
            progress.winner = standings.leader()
            progress.leaders.append(progress.winner)
            scored = set(standings.scored())
            ranked = sorted(
                (name for name in ranked if name in scored), key=lambda name: -standings.value(name)
            )
        left = progress.plan.rounds_after(progress.round, rates=self._parts.rates)
        await self._announce_ranking(progress, ranked, queries, kept=kept, rounds_left=left)
        progress.round += 1

    async def _announce_ranking(
        self,
        progress: _Progress,
        ranked: Sequence[str],
        queries: Sequence[Query],
        *,
        kept: Sequence[str],
        rounds_left: int,
    ) -> None:
        standings = progress.standings
        await self._parts.observer.notify(
            RoundFinished(
                round=progress.announced,
                ranking=tuple(
                    RankedPath(
                        candidate_id=name,
                        reward=standings.posterior.reward(name) if standings.is_fitted else None,
                        round_reward=standings.mean_reward(name, queries),
                        kept=name in kept,
                    )
                    for name in ranked
                ),
                rounds_left=rounds_left,
            )
        )

    async def _finish(self, progress: _Progress, race: Race, reason: StopReason) -> None:
        """Compare the finalists, as far as the budget goes."""
        if reason is StopReason.UNSCORED or progress.round < 2:  # noqa: PLR2004 - nothing but the seed prompt
            return
        final = Final(race, self._parts.pairwise, config=self._racing, seed=self._config.seed)
        standings, queries = progress.standings, [*progress.pool, *progress.spare]
        await self._announce_round(progress, progress.pool)
        try:
            progress.winner = await final.run(queries, progress.announced)
        except BudgetExceededError:
            progress.winner = standings.leader()
        finalists = dict.fromkeys([progress.winner, *standings.best(self._racing.finalists)])
        await self._announce_ranking(
            progress, list(finalists), queries, kept=[progress.winner], rounds_left=0
        )

    def _has_converged(self, progress: _Progress) -> bool:
        patience = self._racing.patience
        if len(progress.leaders) <= patience:
            return False
        standings = progress.standings
        before, now = progress.leaders[-patience - 1], standings.leader()
        return standings.value(now) - standings.value(before) < self._racing.least_gain

    def _plan(self, made: int, queries: int) -> SearchPlan:
        """The plan for all calls there are, those ``made`` by the screening among them."""
        left = self._parts.limits.affordable_calls(made)
        calls = planned_calls(self._config, None if left is None else left + made)
        reads = self._parts.reader is not None
        return plan_search(calls, queries=queries, rates=self._parts.rates, reads_instructions=reads)

    def _plan_anew(self, progress: _Progress) -> None:
        """The limits are others: the rest is planned by them. What is screened already stays so."""
        rates = self._parts.rates
        before = progress.plan
        plan = self._plan(progress.calls(rates), len(progress.pool) + len(progress.spare))
        progress.plan = replace(plan, screening=before.screening, first_requests=before.first_requests)

    def _race(self, progress: _Progress) -> Race:
        parts = self._parts
        stop = _Planned(parts.limits, progress, parts.rates)
        return Race(progress.standings, parts.evaluator, parts.observer, stop, parts.rates)

    def _is_doubtful(self, standings: Standings) -> bool:
        return standings.unscored > self._config.max_unscored_share * standings.judged

    def _finalists(self, standings: Standings, best: Candidate) -> tuple[Candidate, ...]:
        """The candidates that the gate may compare, no two with the same prompt."""
        names = standings.best(self._racing.finalists) if standings.is_fitted else []
        found = {best.system_prompt: best}
        for name in names:
            candidate = standings.candidates[name]
            found.setdefault(candidate.system_prompt, candidate)
        return tuple(found.values())

    def _result(self, progress: _Progress, seed: Candidate, reason: StopReason) -> SearchResult:
        standings, nothing = progress.standings, reason is StopReason.UNSCORED
        best = seed if nothing else standings.candidates[progress.winner]
        finalists = standings.best(self._racing.finalists) if standings.is_fitted else []
        shown = dict.fromkeys([best.id, *finalists, SEED_ID])
        return SearchResult(
            best=best,
            best_reward=(
                standings.posterior.reward(best.id) if standings.is_fitted and not nothing else None
            ),
            finalists=() if nothing else self._finalists(standings, best),
            seed_prompt=seed,
            beam=tuple(standings.path(name) for name in shown),
            rounds=max(0, progress.round - 1),
            stop_reason=reason,
            unscored=standings.unscored,
            evaluations=standings.judged,
        )
