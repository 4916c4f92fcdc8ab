"""The interfaces that the search and the rewards need; ``app`` and ``store`` implement them."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from optimizer.brief import Brief
from optimizer.events import SearchEvent
from optimizer.preferences import Comparison
from optimizer.types import (
    BeamPath,
    Completion,
    CompletionRequest,
    CompletionResult,
    Evaluation,
    Example,
    Proposal,
    Query,
    Score,
)

Vectors: TypeAlias = npt.NDArray[np.float32]
"""One row for each text, all of the same length; finite, and of any norm."""


class ChatModel(Protocol):
    """A language model behind one backend."""

    @property
    def name(self) -> str:
        """``backend/model``: what provenance and selection caches record."""
        ...

    async def complete(self, request: CompletionRequest) -> CompletionResult:
        """Answer ``request`` with exactly ``request.n`` completions.

        Safe to call concurrently; cancelling the task cancels the call. With ``request.output`` the
        backend is asked for that JSON object as far as it can enforce one: the text still has to be read.

        Raises:
            ModelError: the call failed, retries included.
            BudgetExceededError: the call was not made.
        """
        ...


class Embedder(Protocol):
    """Turns texts into vectors, near each other where the texts mean the same."""

    @property
    def name(self) -> str:
        """``backend/model``: vectors of different names must never be compared."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One vector for each of ``texts``, in their order; none of them is blank, and there is at least one.

        The same text has the same vector whenever it is asked for. Safe to call concurrently.

        Raises:
            ModelError: the model refused, or cannot be used.
            BudgetExceededError: a call was not made.
        """
        ...


class Retriever(Protocol):
    """Finds the in-context examples for a query."""

    async def prepare(self, queries: Sequence[str]) -> None:
        """Do early, and all at once, what finding examples for ``queries`` takes.

        Raises:
            ModelError: a model that is asked for it cannot be used.
            BudgetExceededError: no call left.
        """
        ...

    async def retrieve(self, query: str, k: int) -> tuple[Example, ...]:
        """The ``k`` nearest examples, most similar first; fewer where the bank is smaller. Deterministic.

        Raises:
            ModelError: a model that is asked for it refused this query, or cannot be used.
            BudgetExceededError: no call left.
        """
        ...


class Scorer(Protocol):
    """Judges responses: the dynamic reward."""

    async def prepare(self, query: Query) -> None:
        """Do early what scoring any response to ``query`` needs. Never raises MalformedReplyError.

        Idempotent and safe to call concurrently: the work is done once per query.
        """
        ...

    async def score(self, query: Query, response: Completion, *, seed: int) -> Score:
        """Judge ``response``. What cannot be scored is ``Unscored``, never a low number.

        Args:
            query: what was asked.
            response: what the target answered; untrusted.
            seed: seed of the judge call, distinct for each rollout of a run.

        Raises:
            ModelError: the judge cannot be reached; its refusing this one response is ``Unscored`` instead.
            BudgetExceededError: no call left.
        """
        ...


class PairwiseJudge(Protocol):
    """Says which of two answers is better: for candidates whose rewards do not tell them apart."""

    async def compare(self, query: Query, first: Completion, second: Completion, *, seed: int) -> Comparison:
        """Compare two answers to ``query`` in both orders; equal texts need no call.

        Args:
            query: what was asked.
            first: one answer; untrusted.
            second: the other one; untrusted.
            seed: seed of the judge's calls, distinct for each pair of a run.

        Returns:
            ``Uncompared`` where neither order could be read.

        Raises:
            ModelError: the judge cannot be reached; its refusing these answers is ``Uncompared`` instead.
            BudgetExceededError: no call left.
        """
        ...


class Proposer(Protocol):
    """Writes new system prompts."""

    @property
    def template_version(self) -> str:
        """Version of the meta-prompt, for provenance."""
        ...

    async def propose(
        self, path: BeamPath, *, round_number: int, slot: int, draw: int, count: int
    ) -> Sequence[Proposal]:
        """Rewrite the prompt that ``path`` ends in, ``count`` times in one request.

        Args:
            path: the lineage.
            round_number: the round that is being made.
            slot: the lineage's place in the beam.
            draw: how many lineages before it in the beam end in the same prompt: their requests may be equal,
                and are different draws.
            count: proposals wanted.

        Returns:
            ``count`` proposals in slot order; one that cannot be read carries why instead of a prompt.

        Raises:
            ModelError: the proposer cannot be reached.
            BudgetExceededError: no call left.
        """
        ...


class Reflector(Protocol):
    """Writes new system prompts to a brief."""

    @property
    def template_version(self) -> str:
        """Version of the meta-prompt, for provenance."""
        ...

    async def propose(self, brief: Brief, *, draw: int, count: int) -> Sequence[Proposal]:
        """Write ``count`` new versions of the brief's parent in one request.

        Args:
            brief: what to improve, and from what to learn.
            draw: which of several equal requests it is, from 0.
            count: proposals wanted.

        Returns:
            ``count`` proposals; one that cannot be read carries why instead of a prompt.

        Raises:
            ModelError: the proposer cannot be reached.
            BudgetExceededError: no call left.
        """
        ...


class ReasonGiver(Protocol):
    """Says why answers got the scores that they have."""

    async def with_reasons(self, evaluations: Sequence[Evaluation]) -> tuple[Evaluation, ...]:
        """``evaluations`` in their order, with a rationale for judged scores that have none.

        The scores stay. Where no reason can be had the rationale stays empty.

        Raises:
            ModelError: the judge cannot be reached.
            BudgetExceededError: no call left.
        """
        ...


class SearchObserver(Protocol):
    """Hears what a search does, and cannot alter it."""

    async def notify(self, event: SearchEvent) -> None:
        """Record ``event``. Events of a kind arrive in any order; after a restart a key may come again."""
        ...


class StopCondition(Protocol):
    """Says between rounds whether another round may begin. Asked once before each: after a no it begins."""

    def exhausted(self, calls_needed: int) -> bool:
        """True when ``calls_needed`` further calls do not fit into what is left."""
        ...


class Pace(Protocol):
    """Says how many held-out queries are compared at the same time."""

    def may_begin(self, *, ended: int, under_way: int) -> bool:
        """Whether another query can probably be compared to its end, beside those ``under_way``."""
        ...


class CallForecast(Protocol):
    """Says how many calls a search has, so that it can plan."""

    def affordable_calls(self, made: int) -> int | None:
        """Calls that fit into what is left for the search, by every limit; None where there is no limit.

        Limits on tokens, money and time count at what calls have taken so far; before the first call they
        cannot be read and count as none. Asked again in a later attempt it says the same.

        Args:
            made: calls that the search has planned so far. What retries and a killed attempt have taken
                beside them is not looked at here, so that it changes no plan; ``exhausted`` counts it.
        """
        ...


class SearchLimits(StopCondition, CallForecast, Protocol):
    """What bounds a search that plans."""

    def have_changed(self) -> bool:
        """Whether the limits are others than those by which ``affordable_calls`` was answered last.

        Asked before each round. Asked again in a later attempt it says the same.
        """
        return False
