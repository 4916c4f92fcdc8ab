"""No request without the permission of whoever the run belongs to, asked for right before it is sent."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from typing_extensions import override

from app.llm.wrapper import ModelWrapper
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult

Permit: TypeAlias = Callable[[], Awaitable[None]]
"""Returns when a request may be sent."""


async def always() -> None:
    """The permission of a run that nobody can take away."""


class PermittedModel(ModelWrapper):
    """Waits for permission.

    A call is announced in the ledger long before it is sent where it waits for a free place, for room in the
    budget, or to be tried again; and the run may have lost its job meanwhile.
    """

    def __init__(self, model: ChatModel, permit: Permit) -> None:
        """``model``, asked only when ``permit`` has returned."""
        super().__init__(model)
        self._permit = permit

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        await self._permit()
        return await self._model.complete(request)
