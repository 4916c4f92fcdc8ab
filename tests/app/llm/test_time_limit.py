import asyncio

import pytest

from app.llm.time_limit import time_limit


async def test_what_takes_too_long_is_given_up_and_the_task_goes_on() -> None:
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(TimeoutError), time_limit(0.0):
        await asyncio.Event().wait()
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_what_is_done_in_time_is_left_alone() -> None:
    with time_limit(0.0):
        done = 1
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="mine"), time_limit(3600):
        raise ValueError("mine")
    assert done == 1


async def test_a_cancellation_from_outside_goes_on_even_where_the_time_is_over_as_well() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        with time_limit(0.0):
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_limit_that_expires_as_the_work_ends_leaves_no_cancellation_behind() -> None:
    task = asyncio.current_task()
    assert task is not None

    async def ends_late() -> None:
        with time_limit(0.0):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ValueError("late") from None

    with pytest.raises(ValueError, match="late"):
        await ends_late()
    assert task.cancelling() == 0


def test_only_tasks_have_limits() -> None:
    with pytest.raises(RuntimeError), time_limit(1.0):
        pass
