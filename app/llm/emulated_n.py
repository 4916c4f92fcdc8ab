"""Several completions from a backend that gives one at a time."""

import dataclasses
from collections.abc import Iterator

from typing_extensions import override

from app.llm.capabilities import Capabilities
from app.llm.wrapper import ModelWrapper
from optimizer.concurrency import run_together
from optimizer.protocols import ChatModel
from optimizer.seeds import derive_seed
from optimizer.types import CompletionRequest, CompletionResult, Usage


class EmulatedNModel(ModelWrapper):
    """Sends ``n`` requests for one completion each, side by side, each with its own seed.

    They get seeds also where the request has none: a ledger would take requests without one for the same.
    """

    def __init__(self, model: ChatModel, *, greedy_only: bool = False) -> None:
        """``n`` completions from ``model``; ``greedy_only``: it gives them itself above temperature 0."""
        super().__init__(model)
        self._greedy_only = greedy_only

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        if request.n == 1 or (self._greedy_only and request.sampling.temperature != 0):
            return await self._model.complete(request)
        results = await run_together(self._model.complete(single) for single in single_requests(request))
        return CompletionResult(
            completions=tuple(completion for result in results for completion in result.completions),
            usage=_total([result.usage for result in results]),
            model=results[0].model,
            seconds=max(result.seconds for result in results),
            fingerprint=results[0].fingerprint,
        )


def with_several(model: ChatModel, can: Capabilities) -> ChatModel:
    """``model`` with several completions for one request, also where it ``can`` not give them itself."""
    return model if can.n and can.greedy_n else EmulatedNModel(model, greedy_only=can.n)


def single_requests(request: CompletionRequest) -> Iterator[CompletionRequest]:
    """The requests for one completion each that stand for ``request``."""
    for draw in range(request.n):
        seed = derive_seed(request.seed or 0, "completion", draw)
        yield dataclasses.replace(request, n=1, seed=seed)


def _total(usages: list[Usage | None]) -> Usage | None:
    total = Usage()
    for usage in usages:
        if usage is None:
            return None
        total = total + usage
    return total
