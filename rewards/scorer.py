"""The dynamic reward: selection, judgement and aggregation put together."""

from collections import Counter

from typing_extensions import override

from optimizer.errors import MalformedReplyError, MisconfiguredError, RequestRefusedError
from optimizer.seeds import derive_seed
from optimizer.types import Completion, JsonObject, ModelRole, Query, Score, Unscored
from rewards.aggregation import aggregate
from rewards.cleaning import clean_text
from rewards.types import AnswerJudge, QuerySelector, RewardScorer, Selection, SelectionSource

_MAX_REASON = 500


class DynamicRewardScorer(RewardScorer):
    """Scores a response on criteria chosen for its query (arXiv 2411.08733).

    Made for one run. All responses to a query are judged on the same criteria, also where these are the
    fallback set, so that they can be compared.
    """

    def __init__(self, selector: QuerySelector, judge: AnswerJudge, *, seed: int) -> None:
        """Put ``selector`` and ``judge`` together.

        Args:
            selector: chooses the criteria.
            judge: scores on them.
            seed: the run's; the seeds of the selector's calls derive from it and the query's id.
        """
        self._selector = selector
        self._judge = judge
        self._seed = seed
        self._selections: dict[str, Selection] = {}

    @override
    async def prepare(self, query: Query) -> None:
        await self.selection(query)

    @override
    async def score(self, query: Query, response: Completion, *, seed: int) -> Score:
        selection = await self.selection(query)
        try:
            scores = await self._judge.judge(query.text, response.text, selection, seed=seed)
        except MisconfiguredError:
            raise
        except RequestRefusedError as error:
            return _unscored("the judge refused", error)
        except MalformedReplyError as error:
            return _unscored("the judge's reply could not be read", error)
        return aggregate(scores, selection_rationale=selection.rationale)

    @override
    def provenance(self) -> JsonObject:
        """Who scores, and on what terms.

        Returns:
            ``selector_model``, ``selector_template_version``, ``judge_model``, ``judge_template_version``,
            ``catalogue_version``, and under ``selections`` how many queries so far have criteria of which
            source.
        """
        sources = Counter(selection.source for selection in self._selections.values())
        return {
            "selector_model": self._selector.model_name,
            "selector_template_version": self._selector.template_version,
            "judge_model": self._judge.model_name,
            "judge_template_version": self._judge.template_version,
            "catalogue_version": self._selector.catalogue_version,
            "selections": {source.value: sources[source] for source in SelectionSource},
        }

    def selection_for(self, query: Query) -> Selection | None:
        """The criteria that responses to ``query`` are judged on, or None before ``prepare`` or ``score``."""
        return self._selections.get(query.text)

    @override
    async def selection(self, query: Query) -> Selection:
        known = self.selection_for(query)
        if known is not None:
            return known
        seed = derive_seed(self._seed, ModelRole.SELECTOR.value, query.id)
        selection = await self._selector.select(query, seed=seed)
        return self._selections.setdefault(query.text, selection)


def _unscored(what: str, error: Exception) -> Unscored:
    return Unscored(reason=clean_text(f"{what}: {error}", limit=_MAX_REASON))
