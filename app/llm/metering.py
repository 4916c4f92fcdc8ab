"""What a run uses, role by role."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from typing_extensions import override

from app.llm.accounting import spend_without_answer
from app.llm.budgeted import upper_bound
from app.llm.prices import Price
from app.llm.wrapper import ModelWrapper
from optimizer.errors import (
    BackendUnavailableError,
    MalformedResponseError,
    MisconfiguredError,
    ModelError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRefusedError,
)
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult, ModelRole, Spend, Usage


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
        told: what backends have said of the tokens of all answers, those from the ledger included, each once.
    """

    spend: Spend = field(default_factory=Spend)
    errors: int = 0
    unreported: int = 0
    replayed: int = 0
    seconds: float = 0.0
    told: Usage = field(default_factory=Usage)


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

    def answered(self, role: ModelRole, spend: Spend, *, seconds: float, usage: Usage | None) -> None:
        """Count an answer; ``usage`` is what the backend says, or None where it does not."""
        use = self._use(role)
        self._uses[role] = dataclasses.replace(
            use,
            spend=use.spend + spend,
            seconds=use.seconds + seconds,
            unreported=use.unreported + (usage is None),
            told=use.told + (usage or Usage()),
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

    def replayed(self, role: ModelRole, usage: Usage | None = None) -> None:
        """Count an answer from the ledger; ``usage`` where it is the first time in this attempt."""
        use = self._use(role)
        told = use.told + (usage or Usage())
        self._uses[role] = dataclasses.replace(use, replayed=use.replayed + 1, told=told)

    def _use(self, role: ModelRole) -> RoleUse:
        return self._uses.get(role, RoleUse())


class CallWatch(Protocol):
    """Hears of every request of all runs of a process."""

    def ended(self, role: ModelRole, backend: str, outcome: str, spend: Spend, seconds: float) -> None:
        """A request has ended: ``answered``, ``cancelled``, or with a kind of failure."""
        ...


class MeteredModel(ModelWrapper):
    """Tells the meter about every request."""

    def __init__(
        self,
        model: ChatModel,
        meter: Meter,
        *,
        role: ModelRole,
        price: Price,
        clock: Callable[[], float],
        watch: CallWatch | None = None,
    ) -> None:
        """``model`` in ``role``, whose tokens cost ``price``; ``clock`` gives monotonic seconds.

        ``watch`` hears of the requests as well.
        """
        super().__init__(model)
        self._meter = meter
        self._role = role
        self._price = price
        self._clock = clock
        self._watch = watch
        self._backend = model.name.partition("/")[0]

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        started = self._clock()
        try:
            result = await self._model.complete(request)
        except ModelError as error:
            spend = spend_without_answer(error, self._most(request))
            seconds = self._clock() - started
            self._meter.failed(self._role, spend, seconds=seconds)
            self._tell(failure_name(error), spend, seconds)
            raise
        except BaseException:
            spend, seconds = self._most(request), self._clock() - started
            self._meter.answered(self._role, spend, seconds=seconds, usage=None)
            self._tell("cancelled", spend, seconds)
            raise
        seconds = self._clock() - started
        spend = self._most(request) if result.usage is None else self._price.spend(result.usage)
        self._meter.answered(self._role, spend, seconds=seconds, usage=result.usage)
        self._tell("answered", spend, seconds)
        return result

    def _most(self, request: CompletionRequest) -> Spend:
        return self._price.spend(upper_bound(request))

    def _tell(self, outcome: str, spend: Spend, seconds: float) -> None:
        if self._watch is not None:
            self._watch.ended(self._role, self._backend, outcome, spend, seconds)


_FAILURES: Final[tuple[tuple[type[ModelError], str], ...]] = (
    (RateLimitedError, "rate_limited"),
    (QuotaExhaustedError, "quota_exhausted"),
    (MisconfiguredError, "misconfigured"),
    (RequestRefusedError, "refused"),
    (MalformedResponseError, "malformed"),
    (BackendUnavailableError, "unavailable"),
)


def failure_name(error: BaseException) -> str:
    """The kind of failure in one word, for whoever counts them."""
    return next((name for kind, name in _FAILURES if isinstance(error, kind)), "failed")
