import asyncio

import pytest

from app.backend_settings import RetrySettings
from app.llm.retry import RetryingModel
from optimizer.errors import BudgetExceededError, MisconfiguredError, ModelError, RequestRefusedError
from optimizer.protocols import ChatModel
from tests.app.llm.scripted import TRANSIENT, small_request, too_many
from tests.fakes.chat_model import ScriptedModel


class Waits(list[float]):
    """Waits that take no time, in order."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)
        await asyncio.sleep(0)


def retrying(model: ChatModel, waits: Waits, *, seed: int = 0, **settings: float) -> RetryingModel:
    return RetryingModel(model, RetrySettings.model_validate(settings), seed=seed, sleep=waits)


async def test_what_may_pass_is_tried_again() -> None:
    model, waits = ScriptedModel([*TRANSIENT, "fine"]), Waits()
    wrapped = retrying(model, waits)
    assert (await wrapped.complete(small_request())).completions[0].text == "fine"
    assert len(model.requests) == 4
    assert len(waits) == 3
    assert wrapped.name == model.name


@pytest.mark.parametrize(
    "error",
    [
        RequestRefusedError("no", backend="b", status=400),
        MisconfiguredError("no", backend="b", status=401),
        BudgetExceededError("calls"),
        ValueError("a mistake"),
    ],
)
async def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    model, waits = ScriptedModel([error]), Waits()
    with pytest.raises(type(error)) as caught:
        await retrying(model, waits).complete(small_request())
    assert caught.value is error
    assert waits == []


async def test_attempts_are_bounded_and_the_last_error_comes_out_as_it_was() -> None:
    errors = [too_many() for _ in range(3)]
    model = ScriptedModel(errors)
    with pytest.raises(ModelError) as caught:
        await retrying(model, Waits(), max_attempts=3).complete(small_request())
    assert caught.value is errors[-1]


async def test_waits_double_up_to_a_limit_and_vary_by_half() -> None:
    model, waits = ScriptedModel([*(too_many() for _ in range(9)), "fine"]), Waits()
    await retrying(
        model, waits, max_attempts=10, first_wait_seconds=1, max_wait_seconds=20, max_total_seconds=1e6
    ).complete(small_request())
    means = [1, 2, 4, 8, 16, 20, 20, 20, 20]
    assert all(mean / 2 <= wait <= mean * 3 / 2 for wait, mean in zip(waits, means, strict=True))
    assert len(set(waits)) == len(waits)


async def test_the_same_seed_waits_the_same() -> None:
    runs = []
    for seed in (1, 1, 2):
        waits = Waits()
        await retrying(ScriptedModel([*TRANSIENT, "fine"]), waits, seed=seed).complete(small_request())
        runs.append(list(waits))
    assert runs[0] == runs[1] != runs[2]


async def test_the_backend_s_wish_is_kept_and_not_all_come_back_at_once() -> None:
    waits = Waits()
    model = ScriptedModel([too_many(40), "fine"])
    await retrying(model, waits, first_wait_seconds=1, max_wait_seconds=2).complete(small_request())
    assert 40.5 <= waits[0] <= 41.5


async def test_a_wait_beyond_the_time_in_all_is_not_begun() -> None:
    waits = Waits()
    model = ScriptedModel([too_many(3600)])
    with pytest.raises(ModelError):
        await retrying(model, waits, max_total_seconds=60).complete(small_request())
    assert waits == []


async def test_calls_at_once_have_attempts_of_their_own() -> None:
    model = ScriptedModel([*(too_many() for _ in range(8)), *("fine" for _ in range(8))])
    wrapped = retrying(model, Waits(), max_attempts=9)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(wrapped.complete(small_request())) for _ in range(8)]
    assert all(call.result().completions[0].text == "fine" for call in calls)
    assert len(model.requests) == 16
