"""Runs that begin like an earlier one and go on anew: from a round on every model gives another draw."""

import dataclasses
from collections.abc import Sequence

from typing_extensions import override

from app.llm.wrapper import ModelWrapper
from optimizer.protocols import ChatModel
from optimizer.seeds import derive_seed
from optimizer.types import CompletionRequest, CompletionResult, ModelRole

_SHARED = frozenset({ModelRole.SELECTOR, ModelRole.EMBEDDER})
"""What these say depends on the query alone, and is the same for all jobs."""


class Draws:
    """Which draw a run is at.

    A call's seed follows from its content, so a search that asks the same again is answered the same. From a
    round on that is given a number, each seed is derived once more with it.
    """

    def __init__(self, anew: Sequence[tuple[int, int]] = ()) -> None:
        """Draws that change with rounds.

        Args:
            anew: the first round of new draws and its number, in the order of the rounds.
        """
        self._waiting = list(anew)
        self._number: int | None = None

    @property
    def all_begun(self) -> bool:
        """Whether the last change lies behind: what comes now was never asked before."""
        return not self._waiting

    def finish_round(self, number: int) -> None:
        """The round ``number`` has ended; the next one begins."""
        while self._waiting and self._waiting[0][0] <= number + 1:
            self._number = self._waiting.pop(0)[1]

    def seed(self, seed: int | None) -> int | None:
        """The seed of a call in place of ``seed``."""
        if seed is None or self._number is None:
            return seed
        return derive_seed(seed, "anew", self._number)

    def wrap(self, model: ChatModel, role: ModelRole) -> ChatModel:
        """``model`` in ``role``, at this draw."""
        return model if role in _SHARED else FreshlyDrawnModel(model, self)


class FreshlyDrawnModel(ModelWrapper):
    """A model that is asked with the seeds of a run's present draw."""

    def __init__(self, model: ChatModel, draws: Draws) -> None:
        """``model`` with the seeds of ``draws``."""
        super().__init__(model)
        self._draws = draws

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        return await self._model.complete(dataclasses.replace(request, seed=self._draws.seed(request.seed)))
