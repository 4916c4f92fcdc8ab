import asyncio
import dataclasses

import pytest

from app.llm.capabilities import Capabilities
from app.llm.emulated_n import EmulatedNModel, with_several
from optimizer.errors import RequestRefusedError
from optimizer.seeds import derive_seed
from optimizer.types import Sampling, Usage
from tests.app.llm.scripted import SilentModel, small_request, too_many
from tests.fakes.chat_model import ScriptedModel


async def test_one_completion_is_one_request_as_it_is() -> None:
    inner = ScriptedModel(["fine"])
    await EmulatedNModel(inner).complete(small_request(seed=4))
    assert inner.requests == [small_request(seed=4)]


async def test_several_are_asked_for_side_by_side_each_with_its_seed() -> None:
    gate = asyncio.Event()
    inner = ScriptedModel(lambda request: f"from {request.seed}", gate=gate)
    model = EmulatedNModel(inner)
    call = asyncio.ensure_future(model.complete(small_request(n=3, seed=4)))
    await inner.wait_for_calls(3)
    gate.set()
    result = await call
    seeds = [derive_seed(4, "completion", draw) for draw in range(3)]
    assert [request.seed for request in inner.requests] == seeds
    assert {request.n for request in inner.requests} == {1}
    assert [completion.text for completion in result.completions] == [f"from {seed}" for seed in seeds]
    assert result.usage == Usage(prompt_tokens=3, completion_tokens=3)
    assert model.name == inner.name


@pytest.mark.parametrize(("temperature", "asked"), [(0.0, 3), (0.7, 1), (None, 1)])
async def test_a_backend_is_spared_what_it_does_not_give_at_temperature_0(
    temperature: float | None, asked: int
) -> None:
    inner = ScriptedModel(lambda _: "fine")
    request = dataclasses.replace(small_request(n=3), sampling=Sampling(temperature=temperature))
    result = await with_several(inner, Capabilities(greedy_n=False)).complete(request)
    assert len(result.completions) == 3
    assert len(inner.requests) == asked


def test_a_backend_that_gives_several_is_asked_as_it_is() -> None:
    inner = ScriptedModel(lambda _: "fine")
    assert with_several(inner, Capabilities()) is inner


async def test_requests_without_a_seed_still_differ() -> None:
    inner = ScriptedModel(lambda _: "fine")
    await EmulatedNModel(inner).complete(small_request(n=3))
    assert len({request.seed for request in inner.requests}) == 3


async def test_unknown_token_counts_stay_unknown() -> None:
    result = await EmulatedNModel(SilentModel(lambda _: "fine")).complete(small_request(n=2))
    assert result.usage is None


async def test_one_failure_is_the_failure_of_all() -> None:
    refusal = RequestRefusedError("no", backend="b")
    with pytest.raises(RequestRefusedError):
        await EmulatedNModel(ScriptedModel([refusal, too_many()])).complete(small_request(n=2))
