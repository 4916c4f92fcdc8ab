import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from app.backend_settings import RetrySettings
from app.llm.accounting import account_for_call
from app.llm.budgeted import DEFAULT_MAX_TOKENS, BudgetedModel, upper_bound, waiting_within
from app.llm.concurrency import ConcurrencyLimitedModel
from app.llm.errors import NeverSentError
from app.llm.limits.limiter import BackendLimiter
from app.llm.metering import Meter, MeteredModel
from app.llm.prices import Price
from app.llm.retry import RetryingModel
from optimizer.budget import Budget, Limits, Reservation
from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    MalformedResponseError,
    MisconfiguredError,
    ModelError,
    RequestRefusedError,
)
from optimizer.types import CompletionRequest, Message, ModelRole, OutputSchema, Sampling, Spend, Usage
from tests.app.llm.opening import backend_settings, open_adapter
from tests.app.llm.scripted import SilentModel, budget_of, small_request, too_many
from tests.fakes.chat_model import ScriptedModel
from tests.fakes.openai_server import Drop, Exchange, Reply, error, serve, well_behaved

PRICE = Price(input_per_million=1e6, output_per_million=2e6)
BOUND = Spend(calls=1, prompt_tokens=21, completion_tokens=10, cost=41.0)
"""What ``small_request`` costs at most."""


def test_the_bound_is_bytes_and_a_little_for_each_message() -> None:
    request = CompletionRequest(
        prompt=(
            Message(role="system", content="é"),
            Message(role="user", content="abc", extra={"name": "n"}),
        ),
        sampling=Sampling(max_tokens=10),
        n=3,
        output=OutputSchema(name="x", schema={"a": 1}),
    )
    assert upper_bound(request) == Usage(
        prompt_tokens=2 + 16 + 3 + len('{"name": "n"}') + 16 + len('{"a": 1}'), completion_tokens=30
    )
    assert upper_bound(CompletionRequest(prompt="abcd", sampling=Sampling(max_tokens=1))) == Usage(
        prompt_tokens=20, completion_tokens=1
    )


@given(text=st.text(), parts=st.lists(st.fixed_dictionaries({"text": st.text()})))
def test_the_bound_is_never_below_the_bytes_sent(text: str, parts: list[dict[str, str]]) -> None:
    content = [*parts]
    request = CompletionRequest(
        prompt=(Message(role="user", content=text), Message(role="user", content=[dict(p) for p in content]))
    )
    sent = len(text.encode("utf-8", "surrogatepass")) + sum(
        len(part["text"].encode("utf-8", "surrogatepass")) for part in parts
    )
    assert upper_bound(request).prompt_tokens >= sent


async def test_a_call_costs_what_was_used() -> None:
    budget = budget_of()
    model = BudgetedModel(ScriptedModel(["fine"]), budget, PRICE)
    with account_for_call() as account:
        await model.complete(small_request())
    assert budget.spent == account.spent == Spend(calls=1, prompt_tokens=1, completion_tokens=1, cost=3.0)
    assert budget.reserved == Spend()
    assert model.name == "fake/scripted"


async def test_room_is_set_aside_while_a_call_is_under_way() -> None:
    budget, gate = budget_of(), asyncio.Event()
    inner = ScriptedModel(["fine"], gate=gate)
    call = asyncio.ensure_future(BudgetedModel(inner, budget, PRICE).complete(small_request()))
    await inner.wait_for_calls(1)
    assert budget.reserved == Spend(calls=1, prompt_tokens=21, completion_tokens=10, cost=41.0)
    gate.set()
    await call


async def test_without_token_counts_the_bound_is_what_it_cost() -> None:
    budget = budget_of()
    await BudgetedModel(SilentModel(["fine"]), budget, PRICE).complete(small_request())
    assert budget.spent == Spend(calls=1, prompt_tokens=21, completion_tokens=10, cost=41.0)


class Counting:
    """Counts prompts as it is told; ``asked`` says how often."""

    def __init__(self, tokens: int | None) -> None:
        self.tokens = tokens
        self.asked = 0

    async def count(self, request: CompletionRequest) -> int | None:
        self.asked += 1
        return self.tokens


@pytest.mark.parametrize(
    ("limits", "tokens", "asked", "fits"),
    [
        (Limits(), 7, 0, True),
        (Limits(tokens=31), 7, 0, True),  # the bound fits
        (Limits(tokens=17), 7, 1, True),
        (Limits(cost=27.0), 7, 1, True),
        (Limits(tokens=16), 7, 1, False),
        (Limits(tokens=17), None, 1, False),  # nobody says how many there are
        (Limits(tokens=17), 900, 1, False),
        (Limits(tokens=9), 7, 0, False),  # the answer alone does not fit
        (Limits(calls=0), 7, 0, False),
    ],
)
async def test_a_prompt_is_counted_where_only_its_bytes_are_too_many(
    limits: Limits, tokens: int | None, asked: int, fits: bool
) -> None:
    counting, inner = Counting(tokens), ScriptedModel(["fine"])
    model = BudgetedModel(inner, budget_of(limits), PRICE, count=counting.count)
    if fits:
        await model.complete(small_request())
    else:
        with pytest.raises(BudgetExceededError):
            await model.complete(small_request())
    assert (counting.asked, len(inner.requests)) == (asked, int(fits))


async def test_a_count_that_does_not_come_is_given_up_when_the_time_is_over() -> None:
    async def never(_: CompletionRequest) -> int | None:
        await asyncio.Event().wait()
        return None

    budget, inner = budget_of(Limits(tokens=17, seconds=0.01)), ScriptedModel(["fine"])
    with pytest.raises(BudgetExceededError, match="seconds"):
        await BudgetedModel(inner, budget, PRICE, count=never).complete(small_request())
    assert (budget.spent, budget.reserved, inner.requests) == (Spend(), Spend(), [])


@pytest.mark.parametrize(
    ("failure", "spent"),
    [
        (too_many(), Spend(calls=1)),
        (BackendUnavailableError("down", backend="b", status=503), Spend(calls=1)),
        (RequestRefusedError("no", backend="b", status=400), Spend(calls=1)),
        (MisconfiguredError("it redirects", backend="b", status=307), Spend(calls=1)),
        (RequestRefusedError("no valid Unicode", backend="b"), Spend(calls=1)),
        (BackendUnavailableError("cut", backend="b"), BOUND),
        (BackendUnavailableError("an error in a 200", backend="b", status=200), BOUND),
        (MalformedResponseError("garbled", backend="b"), BOUND),
        (NeverSentError("no connection", backend="b"), Spend()),
    ],
)
async def test_a_failed_call_costs_its_bound_unless_nobody_can_have_answered(
    failure: ModelError, spent: Spend
) -> None:
    budget = budget_of()
    with pytest.raises(ModelError), account_for_call() as account:
        await BudgetedModel(ScriptedModel([failure]), budget, PRICE).complete(small_request())
    assert budget.spent == account.spent == spent
    assert budget.reserved == Spend()


async def test_a_cancelled_call_counts_with_its_bound() -> None:
    budget = budget_of()
    inner = ScriptedModel(["fine"], gate=asyncio.Event())
    call = asyncio.ensure_future(BudgetedModel(inner, budget, PRICE).complete(small_request()))
    await inner.wait_for_calls(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert budget.spent == Spend(calls=1, prompt_tokens=21, completion_tokens=10, cost=41.0)
    assert budget.reserved == Spend()


async def test_requests_that_time_out_cannot_pass_a_limit_of_tokens() -> None:
    budget = budget_of(Limits(tokens=100))
    cut = BackendUnavailableError("no answer in time", backend="b")
    inner = ScriptedModel([cut] * 10)
    model = BudgetedModel(inner, budget, PRICE)
    for _ in range(3):
        with pytest.raises(BackendUnavailableError):
            await model.complete(small_request())
    with pytest.raises(BudgetExceededError, match="tokens"):
        await model.complete(small_request())
    assert len(inner.requests) == 3
    assert budget.spent.tokens == 3 * BOUND.tokens


async def test_a_call_under_way_when_the_time_is_over_is_given_up_with_its_bound() -> None:
    before = asyncio.all_tasks()
    budget, meter = budget_of(Limits(seconds=0.01)), Meter()
    inner = ScriptedModel(["fine"], gate=asyncio.Event())
    metered = MeteredModel(inner, meter, role=ModelRole.JUDGE, price=PRICE, clock=lambda: 0.0)
    with pytest.raises(BudgetExceededError, match="seconds") as caught, account_for_call() as account:
        await BudgetedModel(metered, budget, PRICE).complete(small_request())
    assert caught.value.limit == "seconds"
    assert inner.cancelled == 1
    assert budget.spent == account.spent == meter.spend == BOUND
    assert budget.reserved == Spend()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("before", [60.0, None])
async def test_a_call_under_way_is_given_up_where_the_limit_is_lowered_to_less_than_it_has_taken(
    before: float | None,
) -> None:
    budget, inner = budget_of(Limits(seconds=before)), ScriptedModel(["fine"], gate=asyncio.Event())
    asking = asyncio.create_task(BudgetedModel(inner, budget, PRICE).complete(small_request()))
    for _ in range(5):
        await asyncio.sleep(0)
    assert inner.requests
    budget.change(Limits(seconds=0.0))
    with pytest.raises(BudgetExceededError, match="seconds"):
        await asking
    assert (inner.cancelled, budget.spent, budget.reserved) == (1, BOUND, Spend())
    budget.change(Limits(seconds=1.0))


async def test_a_call_under_way_goes_on_where_the_limit_is_raised_or_taken_away() -> None:
    gate = asyncio.Event()
    budget, inner = budget_of(Limits(seconds=60.0)), ScriptedModel(["fine"], gate=gate)
    asking = asyncio.create_task(BudgetedModel(inner, budget, PRICE).complete(small_request()))
    for _ in range(5):
        await asyncio.sleep(0)
    assert inner.requests
    for limit in (120.0, None):
        budget.change(Limits(seconds=limit))
    gate.set()
    assert (await asking).completions[0].text == "fine"


@pytest.mark.parametrize(("limit", "waits"), [(None, [30.0]), (30.1, [30.0]), (30.0, []), (1.0, [])])
async def test_a_wait_that_would_outlast_the_budget_is_not_begun(
    limit: float | None, waits: list[float]
) -> None:
    waited = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    budget = budget_of(Limits(seconds=limit))
    inner = ScriptedModel([too_many(retry_after=30.0), "fine"])
    settings = RetrySettings(first_wait_seconds=1e-9)
    model = RetryingModel(inner, settings, seed=1, sleep=waiting_within(budget, sleep))
    if waits:
        assert (await model.complete(small_request())).completions[0].text == "fine"
    else:
        with pytest.raises(BudgetExceededError, match="seconds"):
            await model.complete(small_request())
    assert waited == pytest.approx(waits, abs=1e-6)


async def test_a_time_out_inside_the_model_is_not_the_budgets() -> None:
    budget = budget_of(Limits(seconds=60))
    with pytest.raises(TimeoutError, match="their own"):
        await BudgetedModel(ScriptedModel([TimeoutError("their own")]), budget, PRICE).complete(
            small_request()
        )
    assert budget.spent == BOUND


async def test_a_call_that_does_not_fit_is_not_made() -> None:
    inner = ScriptedModel()
    with pytest.raises(BudgetExceededError):
        await BudgetedModel(inner, budget_of(Limits(tokens=30)), PRICE).complete(small_request())
    assert inner.requests == []


async def test_a_request_without_a_bound_gets_one() -> None:
    inner = ScriptedModel(["fine"])
    await BudgetedModel(inner, budget_of(), PRICE).complete(CompletionRequest(prompt="p"))
    assert inner.requests[0].sampling.max_tokens == DEFAULT_MAX_TOKENS


class Watched(Budget):
    """Checks after every change that no limit is passed."""

    @override
    async def reserve(self, estimate: Spend) -> Reservation:
        reservation = await super().reserve(estimate)
        self.check()
        return reservation

    @override
    def settle(self, reservation: Reservation, actual: Spend) -> None:
        super().settle(reservation, actual)
        self.check()

    def check(self) -> None:
        total = self.spent + self.reserved
        assert total.calls <= (self.limits.calls or 10**9)
        assert total.tokens <= (self.limits.tokens or 10**9)


@pytest.mark.parametrize("limits", [Limits(calls=25), Limits(tokens=200), Limits(calls=60, tokens=250)])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_the_server_counts_is_what_was_spent_and_never_too_much(limits: Limits, seed: int) -> None:
    chance = random.Random(seed)

    def script(exchange: Exchange) -> Reply:
        faults: list[Reply] = [error(429), error(500), Drop()]
        fault = chance.randrange(5)
        return faults[fault] if fault < len(faults) else well_behaved(exchange)

    async def no_wait(_: float) -> None:
        await asyncio.sleep(0)

    budget, meter = Watched(limits, clock=lambda: 0.0), Meter()
    async with serve() as fake, open_adapter(backend_settings(fake)) as adapter:
        fake.script = script
        metered = MeteredModel(adapter, meter, role=ModelRole.JUDGE, price=PRICE, clock=lambda: 0.0)
        budgeted = BudgetedModel(metered, budget, PRICE)
        limited = ConcurrencyLimitedModel(budgeted, BackendLimiter(16), job="run", budget=budget, price=PRICE)
        model = RetryingModel(limited, RetrySettings(max_attempts=4), seed=seed, sleep=no_wait)
        calls = [asyncio.ensure_future(model.complete(small_request(seed=place))) for place in range(40)]
        done, _ = await asyncio.wait(calls)
        failures = [failure for call in done if (failure := call.exception())]
        assert len(fake.requests) == budget.spent.calls
    used, spent = meter.spend, budget.spent
    assert (used.calls, used.tokens) == (spent.calls, spent.tokens)
    assert used.cost == pytest.approx(spent.cost)
    assert all(isinstance(failure, ModelError | BudgetExceededError) for failure in failures)
    assert any(isinstance(failure, BudgetExceededError) for failure in failures)
    assert budget.reserved == Spend()
