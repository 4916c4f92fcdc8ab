import asyncio
from itertools import count

import pytest

from app.backend_settings import PriceSettings
from app.llm.errors import NeverSentError
from app.llm.metering import Meter, MeteredModel, RoleUse
from app.llm.prices import Price
from optimizer.errors import BackendUnavailableError, ModelError
from optimizer.protocols import ChatModel
from optimizer.types import ModelRole, Spend, Usage
from tests.app.llm.scripted import SilentModel, small_request, too_many
from tests.fakes.chat_model import ScriptedModel

PRICE = Price.from_settings(PriceSettings(input_per_million=1e6, output_per_million=2e6))

BOUND = Spend(calls=1, prompt_tokens=21, completion_tokens=10, cost=41.0)
"""What ``small_request`` costs at most."""


def metered(model: ChatModel, meter: Meter, role: ModelRole = ModelRole.JUDGE) -> MeteredModel:
    """Every look at the clock takes a second."""
    ticks = count()
    return MeteredModel(model, meter, role=role, price=PRICE, clock=lambda: float(next(ticks)))


def test_tokens_cost_what_the_settings_say() -> None:
    spend = Price(input_per_million=2, output_per_million=8).spend(
        Usage(prompt_tokens=500_000, completion_tokens=250_000), calls=2
    )
    assert spend == Spend(calls=2, prompt_tokens=500_000, completion_tokens=250_000, cost=3.0)


async def test_roles_are_counted_apart() -> None:
    meter = Meter()
    model = ScriptedModel(lambda _: "fine")
    await metered(model, meter).complete(small_request())
    await metered(model, meter).complete(small_request(n=2))
    await metered(model, meter, ModelRole.TARGET).complete(small_request())
    assert meter.uses == {
        ModelRole.JUDGE: RoleUse(
            spend=Spend(calls=2, prompt_tokens=2, completion_tokens=3, cost=8.0),
            seconds=2.0,
            told=Usage(prompt_tokens=2, completion_tokens=3),
        ),
        ModelRole.TARGET: RoleUse(
            spend=Spend(calls=1, prompt_tokens=1, completion_tokens=1, cost=3.0),
            seconds=1.0,
            told=Usage(prompt_tokens=1, completion_tokens=1),
        ),
    }
    assert meter.spend == Spend(calls=3, prompt_tokens=3, completion_tokens=4, cost=11.0)
    assert metered(model, meter).name == model.name


@pytest.mark.parametrize(
    ("failure", "spend", "unreported"),
    [
        (too_many(), Spend(calls=1), 0),
        (NeverSentError("no", backend="b"), Spend(), 0),
        (BackendUnavailableError("cut", backend="b"), BOUND, 1),
    ],
)
async def test_failures_are_counted(failure: ModelError, spend: Spend, unreported: int) -> None:
    meter = Meter()
    with pytest.raises(ModelError):
        await metered(ScriptedModel([failure]), meter).complete(small_request())
    assert meter.uses[ModelRole.JUDGE] == RoleUse(spend=spend, errors=1, unreported=unreported, seconds=1.0)


async def test_an_answer_without_token_counts_costs_its_bound() -> None:
    meter = Meter()
    await metered(SilentModel(["fine"]), meter).complete(small_request())
    assert meter.uses[ModelRole.JUDGE] == RoleUse(spend=BOUND, unreported=1, seconds=1.0)


async def test_a_cancelled_call_costs_its_bound() -> None:
    meter = Meter()
    inner = ScriptedModel(["fine"], gate=asyncio.Event())
    call = asyncio.ensure_future(metered(inner, meter).complete(small_request()))
    await inner.wait_for_calls(1)
    call.cancel()
    await asyncio.wait([call])
    assert meter.uses[ModelRole.JUDGE] == RoleUse(spend=BOUND, unreported=1, seconds=1.0)


def test_what_was_read_does_not_change() -> None:
    meter = Meter()
    before = meter.uses
    meter.replayed(ModelRole.TARGET)
    assert before == {}
    assert meter.uses == {ModelRole.TARGET: RoleUse(replayed=1)}
