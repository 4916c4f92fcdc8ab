import asyncio
import threading
from functools import partial

import pytest

from store.errors import StoreUnavailableError
from store.serial_thread import SerialThread


async def test_work_is_done_in_order_by_one_thread_that_is_not_the_loops() -> None:
    thread, seen = SerialThread("test"), list[tuple[int, str]]()

    def work(number: int) -> int:
        seen.append((number, threading.current_thread().name))
        return number

    found = await asyncio.gather(*(thread.run(partial(work, number)) for number in range(20)))

    assert found == list(range(20))
    assert seen == [(number, "test") for number in range(20)]
    thread.close()


async def test_whoever_waits_hears_of_the_failure_and_the_thread_goes_on() -> None:
    thread = SerialThread("test")

    def fail() -> None:
        raise ZeroDivisionError("no")

    with pytest.raises(ZeroDivisionError, match="no"):
        await thread.run(fail)

    assert await thread.run(lambda: 7) == 7
    thread.close()


async def test_work_is_left_out_only_where_its_caller_was_cancelled_before_it_began() -> None:
    thread, done, began, go_on = SerialThread("test"), list[str](), threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        go_on.wait()
        done.append("begun")

    running = asyncio.create_task(thread.run(hold))
    waiting = asyncio.create_task(thread.run(lambda: done.append("not begun")))
    await asyncio.sleep(0)
    await asyncio.to_thread(began.wait)
    running.cancel()
    waiting.cancel()
    await asyncio.wait([running, waiting])
    go_on.set()

    assert await thread.run(lambda: list(done)) == ["begun"]
    thread.close()


async def test_a_closed_thread_does_what_it_was_given_and_takes_no_more() -> None:
    thread = SerialThread("test")
    last = asyncio.create_task(thread.run(lambda: "done"))
    await asyncio.sleep(0)

    thread.close()

    assert await last == "done"
    with pytest.raises(StoreUnavailableError, match="closed"):
        await thread.run(lambda: "too late")


def test_a_loop_that_ends_meanwhile_harms_nothing() -> None:
    thread, done, began, go_on = SerialThread("test"), list[str](), threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        go_on.wait()
        done.append("done")

    async def leave() -> None:
        waiting = asyncio.create_task(thread.run(hold))
        await asyncio.to_thread(began.wait)
        waiting.cancel()

    asyncio.run(leave())
    go_on.set()

    assert asyncio.run(thread.run(lambda: list(done))) == ["done"]
    thread.close()
