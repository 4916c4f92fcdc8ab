"""A budget holds exactly through the whole stack, counted at the provider, in hundreds of interleavings.

Thousands more of the budget alone are in ``tests/optimizer/test_budget_interleavings.py``.
"""

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from app.backend_settings import RetrySettings
from app.llm.budgeted import BudgetedModel, upper_bound, waiting_within
from app.llm.concurrency import ConcurrencyLimitedModel
from app.llm.errors import NeverSentError
from app.llm.ledger import CallLedger, LedgeredModel
from app.llm.limits.limiter import BackendLimiter
from app.llm.metering import Meter, MeteredModel
from app.llm.prices import Price
from app.llm.retry import RetryingModel
from optimizer.budget import Budget, Limits
from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    MalformedResponseError,
    ModelError,
    RateLimitedError,
    RequestRefusedError,
)
from optimizer.protocols import ChatModel
from optimizer.types import (
    Completion,
    CompletionRequest,
    CompletionResult,
    Message,
    ModelRole,
    Sampling,
    Spend,
    Usage,
)
from tests.app.llm.test_ledger import MemoryRecords
from tests.fakes.virtual_time import run_virtually

INTERLEAVINGS = 250
PRICE = Price(input_per_million=1_000.0, output_per_million=3_000.0)
RETRIES = RetrySettings(max_attempts=4, first_wait_seconds=0.1, max_wait_seconds=1.0)
PATIENT_CALLS, TOKENS_OF_PROMPT = 90, 40


@dataclass
class Provider(ChatModel):
    """Answers, fails and bills as real ones do: also what nobody hears of.

    Attributes:
        billed: what it will want to be paid for, at once when a request arrives, by what its answer will use.
    """

    chance: random.Random
    billed: Spend = field(default_factory=Spend)
    in_flight: int = 0
    most_in_flight: int = 0

    @property
    @override
    def name(self) -> str:
        return "fake/provider"

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        fate = self.chance.random()
        if fate < 0.05:
            raise NeverSentError("no connection", backend="b")
        usage = self._usage(request)
        bills = fate < 0.15 or fate > 0.35
        self.billed = self.billed + (PRICE.spend(usage) if bills else Spend(calls=1))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.chance.choice((0.0, 0.1, 0.5, 1.0, 3.0)))
        finally:
            self.in_flight -= 1
        if bills and fate < 0.35:
            raise self.chance.choice(
                (BackendUnavailableError("lost", backend="b"), MalformedResponseError("odd", backend="b"))
            )
        if not bills:
            raise self.chance.choice(
                (
                    RateLimitedError("wait", backend="b", retry_after=0.2),
                    BackendUnavailableError("down", backend="b", status=503),
                    RequestRefusedError("no", backend="b", status=400),
                )
            )
        silent = self.chance.random() < 0.1
        return CompletionResult(
            completions=(Completion(text="fine"),), usage=None if silent else usage, model="m", seconds=0.1
        )

    def _usage(self, request: CompletionRequest) -> Usage:
        most = upper_bound(request)
        share = self.chance.choice((0.1, 0.5, 1.0))
        return Usage(
            prompt_tokens=int(most.prompt_tokens * share),
            completion_tokens=int(most.completion_tokens * share),
        )


def limits_for(chance: random.Random) -> Limits:
    """Any of the four limits, alone or together, of any size that matters."""
    wanted = [name for name in ("calls", "tokens", "cost", "seconds") if chance.random() < 0.4]
    return Limits(
        calls=chance.randint(0, 120) if "calls" in wanted or not wanted else None,
        tokens=chance.randint(0, 9_000) if "tokens" in wanted else None,
        cost=chance.uniform(0.0, 15.0) if "cost" in wanted else None,
        seconds=chance.uniform(0.0, 8.0) if "seconds" in wanted else None,
    )


class Interleaving:
    """One random run of many calls at once under one budget, with two roles that share a ledger."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.limits = limits_for(self.chance)
        self.provider = Provider(self.chance)
        self.meter = Meter()
        self.records = MemoryRecords()
        self.ended: list[Exception] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self.budget = Budget(self.limits, clock=loop.time)
        ledger = CallLedger(self.records, scope="run", budget=self.budget, meter=self.meter)
        limiter = BackendLimiter(64)
        models = [self._model(role, ledger, limiter) for role in (ModelRole.TARGET, ModelRole.JUDGE)]
        tasks = [
            asyncio.create_task(self._call(models[number % 2], number)) for number in range(PATIENT_CALLS)
        ]
        for task in tasks:
            if self.chance.random() < 0.15:
                loop.call_later(self.chance.choice((0.0, 0.2, 1.0)), task.cancel)
        for moment in (0.3, 1.1):
            loop.call_later(moment, self._withhold)
        await asyncio.wait(tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)

    def _model(self, role: ModelRole, ledger: CallLedger, limiter: BackendLimiter) -> ChatModel:
        clock = asyncio.get_running_loop().time
        model: ChatModel = MeteredModel(self.provider, self.meter, role=role, price=PRICE, clock=clock)
        model = ConcurrencyLimitedModel(
            BudgetedModel(model, self.budget, PRICE), limiter, job="run", budget=self.budget, price=PRICE
        )
        sleep = waiting_within(self.budget, asyncio.sleep)
        model = RetryingModel(model, RETRIES, seed=1, sleep=sleep)
        return LedgeredModel(model, ledger, backend="b", model_id="m", role=role, price=PRICE)

    async def _call(self, model: ChatModel, number: int) -> None:
        text = "x" * self.chance.randint(1, TOKENS_OF_PROMPT)
        request = CompletionRequest(
            prompt=(Message(role="user", content=f"{number % 80} {text}"),),
            sampling=Sampling(max_tokens=self.chance.choice((5, 40, 200))),
        )
        try:
            await model.complete(request)
        except (BudgetExceededError, ModelError) as error:
            self.ended.append(error)
        finally:
            self.check()

    def _withhold(self) -> None:
        """The search's share changes between rounds, and all is free at its end."""
        calls = None if self.limits.calls is None else self.limits.calls // 3
        self.budget.withhold(self.chance.choice((Limits(), Limits(calls=calls, tokens=500, cost=0.5))))

    def check(self) -> None:
        """What the provider bills is covered, and nothing is over a limit."""
        held, billed = self.budget.spent + self.budget.reserved, self.provider.billed
        for total in (held, billed):
            assert self.limits.calls is None or total.calls <= self.limits.calls
            assert self.limits.tokens is None or total.tokens <= self.limits.tokens
            assert self.limits.cost is None or total.cost <= self.limits.cost + 1e-6
        assert billed.calls <= held.calls
        assert billed.tokens <= held.tokens
        assert billed.cost <= held.cost + 1e-6


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_interleaving_of_calls_costs_more_than_the_budget() -> None:
    most_in_flight, refused = 0, set()
    for seed in range(INTERLEAVINGS):
        interleaving = Interleaving(seed)
        run_virtually(interleaving.run())
        interleaving.check()
        assert interleaving.budget.reserved == Spend(), seed
        # the ledger, the meter and the budget say the same, and no less than what the provider wants
        recorded = Spend()
        for kind, *numbers in interleaving.records.log:
            if kind in {"complete", "fail"}:
                calls, prompt, completion, cost = numbers
                assert isinstance(calls, int)
                assert isinstance(prompt, int)
                assert isinstance(completion, int)
                assert isinstance(cost, float)
                recorded = recorded + Spend(
                    calls=calls, prompt_tokens=prompt, completion_tokens=completion, cost=cost
                )
        spent = interleaving.budget.spent
        assert (recorded.calls, recorded.tokens) == (spent.calls, spent.tokens), seed
        assert recorded.cost == pytest.approx(spent.cost), seed
        assert interleaving.meter.spend.calls == spent.calls, seed
        most_in_flight = max(most_in_flight, interleaving.provider.most_in_flight)
        refused.add(interleaving.budget.refused_by)
    assert most_in_flight == 64
    assert refused == {None, "calls", "tokens", "cost", "seconds"}
