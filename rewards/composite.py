"""A reward of several parts: judged criteria, checks, and the user's own service, by weight."""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence

from typing_extensions import override

from optimizer.concurrency import run_together
from optimizer.types import Completion, CriterionScore, JsonObject, Query, Score, Unscored
from rewards.aggregation import aggregate, fails
from rewards.checks.check import Check
from rewards.cleaning import name_key
from rewards.external import ExternalScorer
from rewards.scorer import DynamicRewardScorer
from rewards.types import RewardScorer, Selection


class CriterionWeights:
    """How much each judged criterion counts; those without a weight of their own count 1."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """``weights`` by name, however it is cased, spaced or hyphenated."""
        self._weights = {name_key(name): weight for name, weight in weights.items()}

    def of(self, name: str) -> float:
        """The weight of the criterion called ``name``, 0 or more."""
        return self._weights.get(name_key(name), 1.0)


class CompositeScorer(RewardScorer):
    """Scores a response by all that a job asks for.

    The parts are the judged criteria together, each check, and the service. Where a part that has a weight
    cannot be scored the response is unscored: a mean over the other parts could not be compared with that of
    a response that has them all. Only single criteria within the judged part may be missing.
    """

    def __init__(
        self,
        judged: DynamicRewardScorer,
        *,
        weights: CriterionWeights,
        checks: Sequence[Check] = (),
        external: ExternalScorer | None = None,
        terms: JsonObject,
    ) -> None:
        """Put the parts together.

        Args:
            judged: the judged criteria; a query may have none.
            weights: how much they count.
            checks: code rewards.
            external: the user's own service.
            terms: what provenance says beside the models and versions of ``judged``.
        """
        self._judged = judged
        self._weights = weights
        self._checks = checks
        self._external = external
        self._terms = terms

    @override
    async def prepare(self, query: Query) -> None:
        await self._judged.prepare(query)

    @override
    async def score(self, query: Query, response: Completion, *, seed: int) -> Score:
        selection = await self._judged.selection(query)
        checked = await asyncio.to_thread(self._check, query, response.text)
        failed = [item for item in checked if isinstance(item, CriterionScore) and fails(item)]
        if failed:  # nobody is asked about what cannot be worth more than the lowest reward
            scores = [item for item in checked if isinstance(item, CriterionScore)]
            return aggregate(scores, selection_rationale=selection.rationale)
        asked = await run_together(
            [self._judge(query, response, selection, seed), self._ask(query, response.text, selection)]
        )
        parts = [*asked[0], *asked[1], *checked]
        missing = next((part for part in parts if isinstance(part, Unscored)), None)
        if missing is not None:
            return missing
        scores = [part for part in parts if isinstance(part, CriterionScore)]
        return aggregate(scores, selection_rationale=selection.rationale)

    @override
    async def selection(self, query: Query) -> Selection:
        """The judged criteria that count for ``query``; perhaps none."""
        selection = await self._judged.selection(query)
        counted = tuple(item for item in selection.criteria if self._weights.of(item.name) > 0)
        return dataclasses.replace(selection, criteria=counted)

    @override
    def provenance(self) -> JsonObject:
        return {**self._judged.provenance(), **self._terms}

    def _check(self, query: Query, answer: str) -> list[CriterionScore | Unscored]:
        """What the checks for ``query`` say; one that has no verdict and no weight says nothing."""
        applying = (check for check in self._checks if check.applies(query))
        verdicts = ((check, check.score(answer)) for check in applying)
        return [
            verdict
            for check, verdict in verdicts
            if isinstance(verdict, CriterionScore) or check.weight > 0 or check.required
        ]

    async def _judge(
        self, query: Query, response: Completion, selection: Selection, seed: int
    ) -> list[CriterionScore | Unscored]:
        if not selection.criteria:
            return []
        counts = any(self._weights.of(item.name) > 0 for item in selection.criteria)
        score = await self._judged.score(query, response, seed=seed)
        if isinstance(score, Unscored):
            return [score] if counts else []
        weighed = [
            dataclasses.replace(item, weight=self._weights.of(item.criterion)) for item in score.criteria
        ]
        if counts and not any(item.weight for item in weighed):
            return [Unscored(reason="no judged criterion that counts was scored")]
        return list(weighed)

    async def _ask(self, query: Query, answer: str, selection: Selection) -> list[CriterionScore | Unscored]:
        if self._external is None:
            return []
        criteria = {item: self._weights.of(item.name) for item in selection.criteria}
        score = await self._external.score(query, answer, criteria)
        return [score] if isinstance(score, CriterionScore) or self._external.weight > 0 else []
