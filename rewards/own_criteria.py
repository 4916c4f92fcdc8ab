"""Criteria that a user brings: which apply to a query, beside those that the selector chooses."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import override

from optimizer.types import Query
from rewards.catalog import CriteriaCatalog
from rewards.cleaning import name_key
from rewards.types import MIN_CRITERIA, Criterion, QuerySelector, Selection, SelectionSource

_RATIONALE = "These criteria were given by the user for every such query."

MakeSelector = Callable[[CriteriaCatalog, int], QuerySelector]
"""A selector over a catalogue that may invent so many criteria of its own."""

MAX_NEW_CRITERIA = 2
"""That the selector may invent where it has the built-in catalogue; none among the user's criteria alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnCriterion:
    """A criterion of the user's.

    Attributes:
        criterion: the criterion itself.
        always: judged on every query that it is for; else offered to the selector.
        kinds: the kinds of queries that it is for; empty for all.
    """

    criterion: Criterion
    always: bool = True
    kinds: frozenset[str] = frozenset()

    def applies(self, query: Query) -> bool:
        """Whether it is for ``query``; one of unknown kind is of none."""
        return not self.kinds or query.kind in self.kinds


class OwnCriteriaSelector(QuerySelector):
    """The selector's choice with the user's criteria in it, each query's the same for the whole run."""

    def __init__(
        self,
        own: Sequence[OwnCriterion],
        *,
        catalog: CriteriaCatalog,
        keep_catalogue: bool,
        taken: Sequence[str],
        make: MakeSelector,
    ) -> None:
        """A selector for a job with criteria of its own.

        Args:
            own: the user's criteria.
            catalog: the built-in ones.
            keep_catalogue: whether those are to choose from, too.
            taken: names of other scores (checks and the like), which no criterion may have.
            make: makes the selectors that choose, one for each set of criteria offered.
        """
        self._own = own
        self._catalog = catalog
        self._keep = keep_catalogue
        self._taken = frozenset(map(name_key, taken))
        self._make = make
        self._max_new = MAX_NEW_CRITERIA if keep_catalogue else 0
        self._selectors: dict[tuple[str, ...], QuerySelector] = {}
        self._base = make(catalog, self._max_new)
        self._version = _version(own, keep_catalogue=keep_catalogue)

    @property
    @override
    def model_name(self) -> str:
        return self._base.model_name

    @property
    @override
    def template_version(self) -> str:
        return f"{self._base.template_version}.{self._version}"

    @property
    @override
    def catalogue_version(self) -> str:
        return f"{self._catalog.version}.{self._version}"

    @override
    async def select(self, query: Query, *, seed: int) -> Selection:
        own = [item for item in self._own if item.applies(query)]
        always = [item.criterion for item in own if item.always]
        offered = [item.criterion for item in own if not item.always]
        if not self._keep and len(offered) <= MIN_CRITERIA:
            return self._given([*offered, *always])  # nothing to choose
        chosen = await self._selector(offered).select(query, seed=seed)
        taken = self._taken | {name_key(item.name) for item in always}
        kept = [item for item in chosen.criteria if name_key(item.name) not in taken]
        return Selection(
            criteria=(*kept, *always),
            rationale=chosen.rationale,
            source=chosen.source,
            selector_model=chosen.selector_model,
            template_version=chosen.template_version,
        )

    def _selector(self, offered: Sequence[Criterion]) -> QuerySelector:
        if not offered:
            return self._base
        names = tuple(item.name for item in offered)
        if names not in self._selectors:
            catalog = self._catalog.extended(offered, keep=self._keep)
            self._selectors[names] = self._make(catalog, self._max_new)
        return self._selectors[names]

    def _given(self, criteria: Sequence[Criterion]) -> Selection:
        return Selection(
            criteria=tuple(criteria),
            rationale=_RATIONALE,
            source=SelectionSource.SELECTED,
            selector_model=self.model_name,
            template_version=self.template_version,
        )


def _version(own: Sequence[OwnCriterion], *, keep_catalogue: bool) -> str:
    told: list[Mapping[str, object]] = [
        {
            "name": item.criterion.name,
            "scoring": item.criterion.scoring,
            "always": item.always,
            "kinds": sorted(item.kinds),
        }
        for item in own
    ]
    text = json.dumps([keep_catalogue, told], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
