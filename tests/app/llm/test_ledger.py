import asyncio
from dataclasses import dataclass, field, replace

import pytest
from typing_extensions import override

from app.backend_settings import RetrySettings
from app.llm.budgeted import BudgetedModel
from app.llm.ledger import CallLedger, CallRecords, LedgeredModel
from app.llm.metering import Meter
from app.llm.prices import Price
from app.llm.retry import RetryingModel
from optimizer.budget import Budget, Limits
from optimizer.errors import BudgetExceededError, MisconfiguredError, ModelError, RequestRefusedError
from optimizer.types import JsonObject, ModelRole, Spend
from tests.app.llm.scripted import TRANSIENT, budget_of, settle, small_request
from tests.fakes.chat_model import ScriptedModel

PRICE = Price(input_per_million=1e6, output_per_million=1e6)
BOUND = Spend(calls=1, prompt_tokens=21, completion_tokens=10, cost=31.0)
"""What one request for ``small_request`` costs at most."""


@dataclass(frozen=True, kw_only=True)
class Row:
    response: JsonObject
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


@dataclass
class MemoryRecords(CallRecords):
    """A ledger in memory, and a log of what was asked of it."""

    rows: dict[str, Row] = field(default_factory=dict)
    log: list[tuple[object, ...]] = field(default_factory=list)
    slow: asyncio.Event | None = None

    @override
    async def find(self, key: str) -> Row | None:
        await asyncio.sleep(0)
        return self.rows.get(key)

    @override
    async def intend(self, key: str, role: str, model: str, estimate: Spend) -> None:
        self.log.append(("intend", role, model, estimate))

    @override
    def complete(
        self,
        key: str,
        response: JsonObject,
        calls: int,
        prompt_tokens: int,
        completion_tokens: int,
        cost: float,
    ) -> None:
        self.log.append(("complete", calls, prompt_tokens, completion_tokens, cost))
        self.rows[key] = Row(
            response=response,
            calls=calls,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cost=cost,
        )

    @override
    async def fail(
        self, key: str, calls: int, prompt_tokens: int, completion_tokens: int, cost: float
    ) -> None:
        if self.slow is not None:
            await self.slow.wait()
        self.log.append(("fail", calls, prompt_tokens, completion_tokens, cost))


@dataclass
class Attempt:
    """One attempt of a run: its own budget, meter and model over records that outlive it."""

    records: MemoryRecords
    inner: ScriptedModel
    budget: Budget = field(default_factory=budget_of)
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        self.ledger = CallLedger(self.records, scope="run", budget=self.budget, meter=self.meter)

    def model(self, role: ModelRole = ModelRole.JUDGE) -> LedgeredModel:
        async def no_wait(_: float) -> None:
            await asyncio.sleep(0)

        paid = BudgetedModel(self.inner, self.budget, PRICE)
        retrying = RetryingModel(paid, RetrySettings(), seed=0, sleep=no_wait)
        return LedgeredModel(retrying, self.ledger, backend="b", model_id="m", role=role, price=PRICE)


async def test_a_call_is_announced_before_and_recorded_after_with_its_retries() -> None:
    attempt = Attempt(MemoryRecords(), ScriptedModel([*TRANSIENT, "fine"]))
    result = await attempt.model().complete(small_request())
    assert result.completions[0].text == "fine"
    # a 429, a 503, a garbled answer that may be billed, and the answer
    assert attempt.records.log == [
        ("intend", "judge", "fake/scripted", BOUND),
        ("complete", 4, 21 + 1, 10 + 1, 31.0 + 2.0),
    ]
    assert attempt.budget.spent == Spend(calls=4, prompt_tokens=22, completion_tokens=11, cost=33.0)


async def test_a_finished_call_is_never_made_again() -> None:
    first = Attempt(MemoryRecords(), ScriptedModel([*TRANSIENT, "fine"]))
    original = await first.model().complete(small_request())
    paid = first.budget.spent
    budget = Budget(Limits(calls=5), clock=lambda: 0.0, spent=paid, replayable=paid)
    second = Attempt(first.records, ScriptedModel(), budget)
    assert not budget.exhausted(5)
    for _ in range(3):
        assert await second.model().complete(small_request()) == original
    assert second.inner.requests == []
    assert second.meter.uses[ModelRole.JUDGE].replayed == 3
    assert budget.spent == paid
    # Replayed once, however often it was read: one of five calls is left.
    assert not budget.exhausted(1)
    assert budget.exhausted(2)


async def test_a_call_paid_for_in_this_attempt_is_not_taken_for_an_earlier_one() -> None:
    earlier = Spend(calls=2)
    budget = Budget(Limits(calls=4), clock=lambda: 0.0, spent=earlier, replayable=earlier)
    attempt = Attempt(MemoryRecords(), ScriptedModel(["fine"]), budget)
    for _ in range(2):
        await attempt.model().complete(small_request())
    assert not budget.exhausted(3)
    assert budget.exhausted(4)


async def test_another_request_is_another_call() -> None:
    attempt = Attempt(MemoryRecords(), ScriptedModel(lambda _: "fine"))
    await attempt.model().complete(small_request(seed=1))
    await attempt.model().complete(small_request(seed=2))
    assert len(attempt.inner.requests) == 2
    assert attempt.model().name == attempt.inner.name


async def test_equal_calls_at_once_are_one_call() -> None:
    gate = asyncio.Event()
    attempt = Attempt(MemoryRecords(), ScriptedModel(["fine"], gate=gate))
    roles = [ModelRole.JUDGE, ModelRole.SELECTOR, ModelRole.JUDGE]
    calls = [asyncio.ensure_future(attempt.model(role).complete(small_request())) for role in roles]
    await attempt.inner.wait_for_calls(1)
    gate.set()
    await asyncio.wait(calls)
    assert len({call.result() for call in calls}) == 1
    assert len(attempt.inner.requests) == 1
    assert attempt.budget.spent.calls == 1
    assert len(attempt.records.log) == 2


async def test_one_who_leaves_does_not_take_the_answer_from_the_others() -> None:
    gate = asyncio.Event()
    attempt = Attempt(MemoryRecords(), ScriptedModel(["fine"], gate=gate))
    calls = [asyncio.ensure_future(attempt.model().complete(small_request())) for _ in range(3)]
    await attempt.inner.wait_for_calls(1)
    calls[0].cancel()
    await settle()
    gate.set()
    await asyncio.wait(calls)
    assert [call.cancelled() for call in calls] == [True, False, False]
    assert calls[1].result().completions[0].text == "fine"


async def test_when_nobody_waits_any_more_the_call_is_cancelled_and_its_cost_recorded() -> None:
    before = asyncio.all_tasks()
    attempt = Attempt(MemoryRecords(), ScriptedModel(["fine", "again"], gate=asyncio.Event()))
    calls = [asyncio.ensure_future(attempt.model().complete(small_request())) for _ in range(2)]
    await attempt.inner.wait_for_calls(1)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    assert all(call.cancelled() for call in calls)
    assert attempt.inner.cancelled == 1
    assert attempt.records.log[1:] == [("fail", 1, 21, 10, 31.0)]
    assert asyncio.all_tasks() == before


async def test_a_call_after_a_cancelled_one_is_a_new_call() -> None:
    gate = asyncio.Event()
    attempt = Attempt(MemoryRecords(), ScriptedModel(["never", "fine"], gate=gate))
    first = asyncio.ensure_future(attempt.model().complete(small_request()))
    await attempt.inner.wait_for_calls(1)
    first.cancel()
    second = asyncio.ensure_future(attempt.model().complete(small_request()))
    await attempt.inner.wait_for_calls(2)
    gate.set()
    assert (await second).completions[0].text == "fine"
    assert first.cancelled()


async def test_a_failure_is_recorded_although_the_caller_leaves_meanwhile() -> None:
    slow = asyncio.Event()
    attempt = Attempt(MemoryRecords(slow=slow), ScriptedModel([MisconfiguredError("no", backend="b")]))
    call = asyncio.ensure_future(attempt.model().complete(small_request()))
    await attempt.inner.wait_for_calls(1)
    await settle()
    call.cancel()
    await settle()
    assert not call.done()
    slow.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert [entry[0] for entry in attempt.records.log] == ["intend", "fail"]


async def test_a_failed_call_is_recorded_as_failed_and_made_again() -> None:
    wrong_key = MisconfiguredError("no", backend="b", status=401)
    attempt = Attempt(MemoryRecords(), ScriptedModel([wrong_key, "fine"]))
    with pytest.raises(ModelError) as caught:
        await attempt.model().complete(small_request())
    assert caught.value is wrong_key
    assert (await attempt.model().complete(small_request())).completions[0].text == "fine"
    assert [entry[:2] for entry in attempt.records.log] == [
        ("intend", "judge"),
        ("fail", 1),
        ("intend", "judge"),
        ("complete", 1),
    ]


async def test_a_refused_request_is_refused_again_without_being_sent() -> None:
    """The search has the refusal as a value: an attempt that asked again might go on otherwise."""
    refusal = RequestRefusedError("flagged", backend="b", status=400)
    first = Attempt(MemoryRecords(), ScriptedModel([refusal]))
    with pytest.raises(RequestRefusedError) as caught:
        await first.model().complete(small_request())
    assert caught.value is refusal
    assert first.records.log[-1] == ("complete", 1, 0, 0, 0.0)

    second = Attempt(first.records, ScriptedModel())
    with pytest.raises(RequestRefusedError, match="flagged") as again:
        await second.model().complete(small_request())
    assert (again.value.backend, again.value.status) == ("b", 400)
    assert not isinstance(again.value, MisconfiguredError)
    assert second.inner.requests == []
    assert second.meter.uses[ModelRole.JUDGE].replayed == 1


async def test_a_call_that_did_not_fit_the_budget_costs_nothing() -> None:
    attempt = Attempt(MemoryRecords(), ScriptedModel(), budget_of(Limits(calls=0)))
    with pytest.raises(BudgetExceededError):
        await attempt.model().complete(small_request())
    assert attempt.records.log[-1] == ("fail", 0, 0, 0, 0.0)


async def test_a_row_that_cannot_be_read_is_asked_for_again() -> None:
    first = Attempt(MemoryRecords(), ScriptedModel(["fine"]))
    await first.model().complete(small_request())
    (key,) = first.records.rows
    first.records.rows[key] = Row(
        response={"odd": 1}, calls=1, prompt_tokens=0, completion_tokens=0, cost=0.0
    )
    second = Attempt(first.records, ScriptedModel(["fine"]))
    await second.model().complete(small_request())
    assert len(second.inner.requests) == 1


async def test_what_an_answer_of_another_version_has_cost_counts_as_spent() -> None:
    first = Attempt(MemoryRecords(), ScriptedModel(["fine"]))
    await first.model().complete(small_request())
    (key,) = first.records.rows
    first.records.rows[key] = replace(first.records.rows[key], response={"odd": 1})
    paid = first.budget.spent
    budget = Budget(Limits(calls=3), clock=lambda: 0.0, spent=paid, replayable=paid)
    second = Attempt(first.records, ScriptedModel(["fine"]), budget)
    await second.model().complete(small_request())
    assert budget.exhausted(2)
    assert not budget.exhausted(1)
    assert second.meter.uses == {}
