"""Models that answer from the record of an earlier job, and ask nobody."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from typing_extensions import override

from app.llm.emulated_n import EmulatedNModel, single_requests
from app.llm.ledger import RecordedCall
from app.llm.metering import Meter
from app.llm.recording import call_key, refusal_from_json, result_from_json
from optimizer.budget import Budget
from optimizer.errors import BudgetExceededError, RequestRefusedError
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult, ModelRole, Spend


class NotRecordedError(RequestRefusedError):
    """The replayed job never made this call: what needs its answer is unscored or missing."""


class AnswerRecords(Protocol):
    """The finished calls of the job that is replayed."""

    def find(self, key: str) -> RecordedCall | None:
        """The call under ``key``, or None."""
        ...


class Replay:
    """The record that all roles of a replay answer from.

    A call counts against the budget with what it has cost when it was made, so that limits end a replay where
    they would have ended the job.
    """

    def __init__(
        self,
        records: AnswerRecords,
        *,
        scope: str,
        models: Mapping[str, tuple[str, ...]],
        budget: Budget,
        meter: Meter,
        ends_with: BudgetExceededError | None,
    ) -> None:
        """A replay.

        Args:
            records: the calls of the job that is replayed.
            scope: that job.
            models: role to the models (``backend/model``) that it has asked, the last one first.
            budget: is charged what each call has cost.
            meter: counts answers.
            ends_with: what a call without a record raises where the search is the very same, so that the job
                made none either; None makes it a ``NotRecordedError``, which is a value of the search.
        """
        self._records = records
        self._scope = scope
        self._models = models
        self._budget = budget
        self._meter = meter
        self._ends_with = ends_with
        self._answered: set[str] = set()
        self._missing: dict[str, str] = {}
        self._rounds = 0
        self._answered_rounds: int | None = None

    @property
    def answered(self) -> int:
        """Different calls that were answered."""
        return len(self._answered)

    @property
    def not_recorded(self) -> Mapping[str, int]:
        """Different calls without a record, by role."""
        roles = list(self._missing.values())
        return {role: roles.count(role) for role in dict.fromkeys(roles)}

    @property
    def answered_rounds(self) -> int | None:
        """Rounds that ended before a call without a record came, the seed prompt's included; None for all."""
        return self._answered_rounds

    def hear_decision(self, name: str, value: int) -> None:
        """Take note of a round that begins, in place of a record of decisions."""
        if name == "rounds":
            self._rounds = value

    def model(self, role: ModelRole, configured: str | None) -> ChatModel:
        """The model in ``role``.

        Args:
            role: which role.
            configured: the model that the settings name for it; the record goes before it.
        """
        known = self._models.get(role.value, ())
        name = configured if configured in known or not known else known[0]
        return RecordedModel(self, name or f"unknown/{role.value}", role)

    def holds(self, key: str) -> bool:
        """Whether the record has an answer under ``key``."""
        return self._records.find(key) is not None

    def key(self, request: CompletionRequest, name: str) -> str:
        """The key that the job that is replayed has given to this call of the model ``name``."""
        backend, _, model = name.partition("/")
        return call_key(request, scope=self._scope, backend=backend, model=model)

    async def answer(self, key: str, role: ModelRole) -> CompletionResult:
        """What was answered to the call ``key``.

        Raises:
            RequestRefusedError: it was refused, or there is no record of it.
            BudgetExceededError: the job got no further.
        """
        await asyncio.sleep(0)  # nothing else here waits: thousands of answers must not hold the loop
        recorded = self._records.find(key)
        result = None if recorded is None else result_from_json(recorded.response)
        refusal = None if recorded is None else refusal_from_json(recorded.response)
        if recorded is None or (result is None and refusal is None):
            raise self._miss(key, role)
        await self._charge(key, recorded)
        self._meter.replayed(role)
        if refusal is not None:
            raise refusal
        assert result is not None  # noqa: S101 - one of the two is there
        return result

    async def _charge(self, key: str, recorded: RecordedCall) -> None:
        if key in self._answered:
            return
        if self._ends_with is not None:
            self._answered.add(key)  # the very same search: the job's limits have let it through
            return
        spend = Spend(
            calls=recorded.calls,
            prompt_tokens=recorded.prompt_tokens,
            completion_tokens=recorded.completion_tokens,
            cost=recorded.cost,
        )
        self._budget.settle(await self._budget.reserve(spend), spend)
        self._answered.add(key)

    def _miss(self, key: str, role: ModelRole) -> Exception:
        if not self._missing:
            self._answered_rounds = max(0, self._rounds - 1)
        self._missing[key] = role.value
        if self._ends_with is not None:
            return BudgetExceededError(self._ends_with.limit)
        return NotRecordedError("not_recorded: the replayed job never made this call", backend="record")


class RecordedModel(ChatModel):
    """Answers from the record alone; also where n answers were recorded as n calls."""

    def __init__(self, replay: Replay, name: str, role: ModelRole) -> None:
        """The model ``name`` in ``role`` of ``replay``."""
        self._replay = replay
        self._name = name
        self._role = role

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        key = self._replay.key(request, self._name)
        if request.n > 1 and not self._replay.holds(key):
            first = next(single_requests(request))
            if self._replay.holds(self._replay.key(first, self._name)):
                return await EmulatedNModel(self).complete(request)
        return await self._replay.answer(key, self._role)


def share(answered: int, not_recorded: int) -> float:
    """The share of a replay's calls that was answered, 0..1; 1 where there were none."""
    total = answered + not_recorded
    return answered / total if total else 1.0
