"""What a run uses, role by role."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from typing_extensions import override

from app.llm.accounting import spend_without_answer
from app.llm.budgeted import upper_bound
from app.llm.prices import Price
from app.llm.wrapper import ModelWrapper
from optimizer.errors import ModelError
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult, ModelRole, Spend


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleUse:
    """What one role has used in this attempt of a run.

    Attributes:
        spend: requests sent, their tokens, and what they cost; the same amounts as in the budget and the
            ledger.
        errors: requests that failed.
        unreported: requests that ended without token counts; ``spend`` holds the most that they can be.
        replayed: answers taken from the ledger, which cost nothing now.
        seconds: time spent waiting for answers, added up over requests that ran beside each other.
    """

    spend: Spend = field(default_factory=Spend)
    errors: int = 0
    unreported: int = 0
    replayed: int = 0
    seconds: float = 0.0


class Meter:
    """Counts for one run; whoever shows progress reads it at any time."""

    def __init__(self) -> None:
        """A meter at zero."""
        self._uses: dict[ModelRole, RoleUse] = {}

    @property
    def uses(self) -> Mapping[ModelRole, RoleUse]:
        """What each role has used so far; a role without a request is not in it."""
        return MappingProxyType(dict(self._uses))

    @property
    def spend(self) -> Spend:
        """What all roles have used together."""
        return sum((use.spend for use in self._uses.values()), Spend())

    def answered(self, role: ModelRole, spend: Spend, *, seconds: float, reported: bool) -> None:
        """Count an answer; ``reported`` says whether the backend counted its tokens."""
        use = self._use(role)
        self._uses[role] = dataclasses.replace(
            use,
            spend=use.spend + spend,
            seconds=use.seconds + seconds,
            unreported=use.unreported + (not reported),
        )

    def failed(self, role: ModelRole, spend: Spend, *, seconds: float) -> None:
        """Count a request that failed."""
        use = self._use(role)
        self._uses[role] = dataclasses.replace(
            use,
            spend=use.spend + spend,
            errors=use.errors + 1,
            unreported=use.unreported + (spend.tokens > 0),
            seconds=use.seconds + seconds,
        )

    def replayed(self, role: ModelRole) -> None:
        """Count an answer from the ledger."""
        use = self._use(role)
        self._uses[role] = dataclasses.replace(use, replayed=use.replayed + 1)

    def _use(self, role: ModelRole) -> RoleUse:
        return self._uses.get(role, RoleUse())


class MeteredModel(ModelWrapper):
    """Tells the meter about every request."""

    def __init__(
        self, model: ChatModel, meter: Meter, *, role: ModelRole, price: Price, clock: Callable[[], float]
    ) -> None:
        """``model`` in ``role``, whose tokens cost ``price``; ``clock`` gives monotonic seconds."""
        super().__init__(model)
        self._meter = meter
        self._role = role
        self._price = price
        self._clock = clock

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        started = self._clock()
        estimate = self._price.spend(upper_bound(request))
        try:
            result = await self._model.complete(request)
        except ModelError as error:
            spend = spend_without_answer(error, estimate)
            self._meter.failed(self._role, spend, seconds=self._clock() - started)
            raise
        except BaseException:
            self._meter.answered(self._role, estimate, seconds=self._clock() - started, reported=False)
            raise
        reported = result.usage is not None
        spend = estimate if result.usage is None else self._price.spend(result.usage)
        self._meter.answered(self._role, spend, seconds=self._clock() - started, reported=reported)
        return result
