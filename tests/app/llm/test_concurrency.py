import asyncio

import pytest

from app.backend_settings import RequestOrder
from app.llm.budgeted import BudgetedModel, upper_bound
from app.llm.concurrency import ConcurrencyLimitedModel, WatchedModel, beginning_of
from app.llm.limits.limiter import BackendLimiter
from app.llm.limits.rates import Rates
from app.llm.prices import Price
from optimizer.budget import Budget, Limits
from optimizer.concurrency import run_together
from optimizer.errors import BudgetExceededError, RateLimitedError
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, Message, Sampling
from tests.app.llm.scripted import SilentModel, budget_of, settle, small_request, too_many
from tests.fakes.chat_model import ScriptedModel
from tests.fakes.virtual_time import run_virtually

PRICE = Price()


def limited(
    model: ChatModel,
    limiter: BackendLimiter,
    *,
    job: str = "job",
    budget: Budget | None = None,
    order: RequestOrder = "prefix",
) -> ConcurrencyLimitedModel:
    budget = budget or budget_of()
    budgeted = BudgetedModel(model, budget, PRICE)
    return ConcurrencyLimitedModel(budgeted, limiter, job=job, budget=budget, price=PRICE, order=order)


async def test_models_of_one_backend_share_its_places() -> None:
    limiter, gate = BackendLimiter(2), asyncio.Event()
    models = [ScriptedModel(lambda _: "fine", gate=gate) for _ in range(2)]
    wrapped = [limited(model, limiter) for model in models]
    calls = [asyncio.ensure_future(model.complete(small_request())) for model in wrapped for _ in range(3)]
    await settle()
    assert sum(model.in_flight for model in models) == 2
    gate.set()
    await run_together([asyncio.wait_for(call, 5) for call in calls])
    assert wrapped[0].name == models[0].name


def chat(system: str, user: str) -> CompletionRequest:
    turns = (Message(role="system", content=system), Message(role="user", content=user))
    return CompletionRequest(prompt=turns, sampling=Sampling(max_tokens=5))


@pytest.mark.parametrize(
    ("order", "left"),
    [("prefix", ["A1", "A2", "A3", "B1", "B2", "B3"]), ("arrival", ["A1", "B1", "A2", "B2", "A3", "B3"])],
)
async def test_waiting_requests_with_a_common_beginning_leave_together(
    order: RequestOrder, left: list[str]
) -> None:
    limiter, model = BackendLimiter(1), ScriptedModel(lambda _: "fine")
    wrapped = limited(model, limiter, order=order)
    async with limiter.slot("other"):
        calls = [
            asyncio.ensure_future(wrapped.complete(chat(system, f"{system}{number}")))
            for number in (1, 2, 3)
            for system in "AB"
        ]
        await settle()
        assert limiter.waiting == 6
    await asyncio.wait(calls)
    assert [
        request.prompt[1].text for request in model.requests if not isinstance(request.prompt, str)
    ] == left


async def test_nobody_waits_for_a_place_that_is_free() -> None:
    limiter, gate = BackendLimiter(6), asyncio.Event()
    model = ScriptedModel(lambda _: "fine", gate=gate)
    wrapped = limited(model, limiter)
    calls = [asyncio.ensure_future(wrapped.complete(chat("A", str(number)))) for number in range(6)]
    await settle()
    assert model.in_flight == 6
    gate.set()
    await asyncio.wait(calls)


def test_other_models_and_texts_have_other_beginnings() -> None:
    one = chat("A", "1")
    assert beginning_of(one, "b/m") == ("b/m", "system", "A", "user", "1")
    assert beginning_of(CompletionRequest(prompt="Once"), "b/m") == ("b/m", "Once")


async def test_a_request_that_waits_for_its_budget_leaves_its_place_to_another_job() -> None:
    limiter, gate, other_gate = BackendLimiter(2), asyncio.Event(), asyncio.Event()
    poor = limited(ScriptedModel(lambda _: "fine", gate=gate), limiter, budget=budget_of(Limits(tokens=50)))
    rich = limited(ScriptedModel(lambda _: "fine", gate=other_gate), limiter, job="other")
    calls = [asyncio.ensure_future(poor.complete(small_request(seed=seed))) for seed in range(2)]
    await settle()
    assert limiter.in_flight == 1
    calls.append(asyncio.ensure_future(rich.complete(small_request())))
    await settle()
    assert limiter.in_flight == 2
    other_gate.set()
    await asyncio.wait_for(calls[2], 5)
    gate.set()
    await run_together([asyncio.wait_for(call, 5) for call in calls[:2]])
    assert (limiter.in_flight, limiter.waiting) == (0, 0)


def test_nobody_waits_for_a_place_longer_than_the_budget_s_seconds() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        limiter, model = BackendLimiter(1), ScriptedModel(lambda _: "fine")
        budget = Budget(Limits(seconds=7), clock=loop.time)
        async with limiter.slot("other"):
            with pytest.raises(BudgetExceededError):
                await limited(model, limiter, budget=budget).complete(small_request())
        assert (limiter.in_flight, limiter.waiting, budget.refused_by) == (0, 0, "seconds")
        return loop.time()

    assert run_virtually(main())[0] == pytest.approx(7)


@pytest.mark.parametrize(("seconds", "asked"), [(60, True), (None, True), (3, False)])
def test_whoever_waits_for_a_place_hears_of_other_limits(seconds: float | None, *, asked: bool) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        limiter, model = BackendLimiter(1), ScriptedModel(lambda _: "fine")
        budget = Budget(Limits(seconds=7), clock=loop.time)
        async with limiter.slot("other"):
            waiting = asyncio.ensure_future(limited(model, limiter, budget=budget).complete(small_request()))
            await asyncio.sleep(2)
            budget.change(Limits(seconds=seconds))
            await asyncio.wait([waiting], timeout=8)
            ended = loop.time()
        if asked:
            await waiting
        else:
            with pytest.raises(BudgetExceededError, match="seconds"):
                await waiting
        assert (len(model.requests), limiter.in_flight, limiter.waiting) == (asked, 0, 0)
        return ended

    assert run_virtually(main())[0] == pytest.approx(10 if asked else 3)


def test_what_a_request_did_not_use_of_a_minute_s_tokens_is_given_back() -> None:
    async def main() -> float:
        # 600 a minute, 100 of them at once; a request may use 31 and uses fewer
        limiter = BackendLimiter(64, rates=Rates(tokens_per_minute=600))
        model = limited(ScriptedModel(lambda _: "fine"), limiter)
        for seed in range(20):
            await model.complete(small_request(seed=seed))
        return asyncio.get_running_loop().time()

    assert run_virtually(main())[0] == 0  # 20 requests of 2 tokens used 40


def test_where_nobody_says_what_was_used_the_most_counts() -> None:
    most = upper_bound(small_request()).total_tokens

    async def main() -> float:
        limiter = BackendLimiter(64, rates=Rates(tokens_per_minute=600))
        model = limited(SilentModel(lambda _: "fine"), limiter)
        for seed in range(20):
            await model.complete(small_request(seed=seed))
        return asyncio.get_running_loop().time()

    assert run_virtually(main())[0] == pytest.approx((20 * most - 100) / 10)


async def test_a_refused_request_uses_no_tokens() -> None:
    limiter = BackendLimiter(8, rates=Rates(tokens_per_minute=600))
    model = limited(ScriptedModel(lambda _: too_many()), limiter)
    for _ in range(4):
        with pytest.raises(RateLimitedError):
            await model.complete(small_request())
    async with asyncio.timeout(5), limiter.slot("job", 100):
        assert limiter.limit == 1


async def test_a_user_s_embedding_takes_its_place_at_once() -> None:
    limiter, gate = BackendLimiter(1), asyncio.Event()
    serving = WatchedModel(ScriptedModel(lambda _: "fine", gate=gate), limiter)
    async with limiter.slot("job"):
        call = asyncio.ensure_future(serving.complete(small_request()))
        await settle()
        assert (limiter.in_flight, limiter.serving) == (1, 1)
    search = asyncio.ensure_future(
        limited(ScriptedModel(lambda _: "fine"), limiter).complete(small_request())
    )
    await settle()
    assert limiter.waiting == 1
    gate.set()
    await asyncio.wait_for(call, 5)
    await asyncio.wait_for(search, 5)
    assert serving.name == "fake/scripted"
