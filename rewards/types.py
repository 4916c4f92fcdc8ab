"""The frozen values of the dynamic reward, and the port behind which selections are kept."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from optimizer.protocols import Scorer
from optimizer.types import CriterionScore, JsonObject, Query

MIN_CRITERIA = 2
"""Criteria per query at least (the paper's stage 2, arXiv 2411.08733)."""

MAX_CRITERIA = 6
"""Criteria per query at most (stage 1; stage 2 takes up to five)."""


class CriterionOrigin(StrEnum):
    """Where a criterion comes from."""

    CATALOGUE = "catalogue"
    SELECTOR = "selector"
    USER = "user"


class SelectionSource(StrEnum):
    """Whether the selector chose, or could not be understood."""

    SELECTED = "selected"
    FALLBACK = "fallback"


@dataclass(frozen=True, kw_only=True, slots=True)
class CriterionCount:
    """How many criteria a query is judged by: ``MIN_CRITERIA`` or more, ``MAX_CRITERIA`` or fewer."""

    least: int
    most: int


FOR_PROMPTS = CriterionCount(least=2, most=5)
"""For the answers that a search compares (stage 2)."""
FOR_EXAMPLES = CriterionCount(least=3, most=6)
"""For the answers of an example bank (stage 1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Criterion:
    """One thing that an answer is judged by.

    Attributes:
        name: what selector and judge call it; one line.
        good: what a good answer does, for the selector.
        scoring: how to give 1 to 5, for the judge. A selector's own criterion has its description in both.
        origin: the catalogue, the selector that made it up, or the user who brought it.
    """

    name: str
    good: str
    scoring: str
    origin: CriterionOrigin


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The criteria for one query.

    Attributes:
        criteria: two to six, no two with the same name; with criteria of the user's own any number.
        rationale: why these; shown to the judge. Untrusted, since a model wrote it.
        source: ``selected``, or ``fallback`` where the selector refused or could not be understood.
        selector_model: the ``name`` of the model that was asked.
        template_version: version of all that shapes the choice: meta-prompt, catalogue, new ones allowed.
    """

    criteria: tuple[Criterion, ...]
    rationale: str
    source: SelectionSource
    selector_model: str
    template_version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionKey:
    """What a selection depends on.

    Attributes:
        query_sha256: SHA-256 of the query's text, 64 hex digits.
        selector_model: the ``name`` of the model asked.
        template_version: as in ``Selection``.
    """

    query_sha256: str
    selector_model: str
    template_version: str


class SelectionRecords(Protocol):
    """Keeps selections longer than a process lives."""

    def expect(self, texts: Iterable[str]) -> None:
        """Hear which queries' texts are likely to be asked about: they can be looked up together."""
        ...

    async def get(self, key: SelectionKey) -> JsonObject | None:
        """The value kept under ``key``, or None."""
        ...

    async def put(self, key: SelectionKey, value: JsonObject, source: SelectionSource) -> JsonObject:
        """Keep ``value`` under ``key``, unless somebody was faster.

        A fallback says nothing about its query, so it is kept for the one run that uses it at most.

        Returns:
            What is to be used: what is kept, or ``value``.
        """
        ...


class QuerySelector(Protocol):
    """Chooses what the answers to a query are judged by."""

    @property
    def model_name(self) -> str:
        """The ``name`` of the model asked."""
        ...

    @property
    def template_version(self) -> str:
        """Version of all that shapes the choice, for provenance."""
        ...

    @property
    def catalogue_version(self) -> str:
        """Version of the criteria to choose from, for provenance."""
        ...

    async def select(self, query: Query, *, seed: int) -> Selection:
        """The criteria for ``query``, the same whenever it is asked.

        Raises:
            ModelError: a model cannot be reached.
            BudgetExceededError: no call left.
        """
        ...


class AnswerJudge(Protocol):
    """Scores an answer on the criteria of a selection."""

    @property
    def model_name(self) -> str:
        """The ``name`` of the model or models asked."""
        ...

    @property
    def template_version(self) -> str:
        """Version of the meta-prompt, for provenance."""
        ...

    async def judge(
        self, query: str, answer: str, selection: Selection, *, seed: int
    ) -> tuple[CriterionScore, ...]:
        """Score ``answer`` to ``query``; both are untrusted, and the answer may be empty.

        Returns:
            At least one score in 1..5, in the order of the selection; a criterion without a readable score is
            missing.

        Raises:
            MalformedReplyError: no score could be read, also after a repair request.
            ModelError: the judge refused, or cannot be reached.
            BudgetExceededError: no call left.
        """
        ...


class RewardScorer(Scorer, Protocol):
    """A scorer that says what it goes by."""

    async def selection(self, query: Query) -> Selection:
        """The criteria that responses to ``query`` are judged on; see ``Scorer.prepare`` for errors."""
        ...

    def provenance(self) -> JsonObject:
        """Who scores, and on what terms; under ``selections`` what varies while a run goes on."""
        ...
