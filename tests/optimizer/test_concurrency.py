import asyncio
from collections.abc import Coroutine, Iterator

import pytest

from optimizer.concurrency import run_together
from optimizer.errors import BackendUnavailableError, BudgetExceededError
from tests.fakes.virtual_time import run_virtually


async def give_after(seconds: float, value: str) -> str:
    await asyncio.sleep(seconds)
    return value


async def fail_after(seconds: float, error: BaseException) -> str:
    await asyncio.sleep(seconds)
    raise error


def test_results_come_in_the_order_of_the_work_whatever_finishes_first() -> None:
    work = (give_after(seconds, name) for seconds, name in [(3, "slow"), (1, "fast"), (2, "middle")])
    results, seconds = run_virtually(run_together(work))
    assert results == ["slow", "fast", "middle"]
    assert seconds == 3, "all of it ran at once"


def test_no_work_gives_no_results() -> None:
    assert run_virtually(run_together([]))[0] == []


def test_the_first_failure_is_raised_bare_and_the_others_are_cancelled() -> None:
    first = ValueError("first")

    async def run() -> int:
        with pytest.raises(ValueError, match="first") as caught:
            await run_together(
                [give_after(9, "never"), fail_after(2, KeyError("later")), fail_after(1, first)]
            )
        assert caught.value is first
        return len(asyncio.all_tasks())

    running, seconds = run_virtually(run())
    assert running == 1
    assert seconds == 1


def test_an_exhausted_budget_lets_the_others_finish() -> None:
    finished: list[str] = []

    async def finish_after(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        finished.append(name)

    async def spend(seconds: float) -> None:
        await run_together([finish_after(2, "paid"), exhaust_after(seconds)])

    async def exhaust_after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        raise BudgetExceededError("calls")

    async def run() -> None:
        with pytest.raises(BudgetExceededError):
            await run_together([spend(1), finish_after(5, "also paid")])

    _, seconds = run_virtually(run())
    assert (finished, seconds) == (["paid", "also paid"], 5)


def test_a_failure_after_the_budget_is_exhausted_ends_the_rest_and_is_the_one_raised() -> None:
    gone = BackendUnavailableError("gone", backend="b")

    async def run() -> None:
        with pytest.raises(BackendUnavailableError):
            await run_together(
                [give_after(9, "never"), fail_after(1, BudgetExceededError("calls")), fail_after(2, gone)]
            )

    assert run_virtually(run())[1] == 2


def test_a_failure_in_nested_work_is_raised_bare() -> None:
    first = ValueError("deep")

    async def nest(depth: int) -> list[str]:
        if depth == 0:
            return [await fail_after(1, first)]
        return [item for items in await run_together([nest(depth - 1)]) for item in items]

    with pytest.raises(ValueError, match="deep") as caught:
        run_virtually(nest(3))
    assert caught.value is first


def test_a_failure_within_a_foreign_group_is_raised_bare() -> None:
    first = ValueError("inner")
    with pytest.raises(ValueError, match="inner") as caught:
        run_virtually(run_together([fail_after(0, ExceptionGroup("theirs", [first, KeyError("other")]))]))
    assert caught.value is first


def test_what_caused_a_failure_stays_known() -> None:
    async def connect() -> None:
        raise BackendUnavailableError("gone", backend="fake") from OSError("no route")

    async def run() -> list[None]:
        return [item for items in await run_together([run_together([connect()])]) for item in items]

    with pytest.raises(BackendUnavailableError) as caught:
        run_virtually(run())
    assert isinstance(caught.value.__cause__, OSError)


def test_cancelling_cancels_all_of_the_work() -> None:
    cancelled: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.sleep(9)
        except asyncio.CancelledError:
            cancelled.append(name)
            raise

    async def run() -> int:
        task = asyncio.create_task(run_together([wait("one"), wait("two")]))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    assert run_virtually(run())[0] == 1
    assert sorted(cancelled) == ["one", "two"]


class Ending:
    """Work that takes its time to end once it is cancelled.

    Attributes:
        ended: how often it came to its end.
    """

    def __init__(self, seconds: float, error: Exception | None = None) -> None:
        self._seconds = seconds
        self._error = error
        self.ended = 0

    async def run(self) -> str:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(self._seconds)
            self.ended += 1
            if self._error is not None:
                raise self._error
        raise AssertionError("nobody cancelled it")


async def cancelled_at(work: Coroutine[object, object, object], *times: float) -> str:
    """Cancel ``work`` at these seconds; how it ended. Nothing may still be running then."""
    task = asyncio.create_task(work)
    for time in times:
        await asyncio.sleep(time - asyncio.get_running_loop().time())
        task.cancel(f"at {time:g}")
    try:
        await task
    except asyncio.CancelledError as error:
        assert len(asyncio.all_tasks()) == 1
        return f"cancelled {error}"
    return "done"


def test_a_cancellation_that_comes_while_others_end_after_a_failure_is_not_lost() -> None:
    slow = Ending(5)
    work = run_together([slow.run(), fail_after(1, ValueError("first"))])
    ended, seconds = run_virtually(cancelled_at(work, 3))
    assert (ended, seconds, slow.ended) == ("cancelled at 3", 6, 1)


def test_a_time_out_that_passes_while_others_end_after_a_failure_is_one() -> None:
    async def run() -> None:
        async with asyncio.timeout(3):
            await run_together([Ending(5).run(), fail_after(1, ValueError("first"))])

    with pytest.raises(TimeoutError):
        run_virtually(run())


def test_a_second_cancellation_waits_for_the_end_of_the_work_as_well() -> None:
    slow = Ending(5)
    ended, seconds = run_virtually(cancelled_at(run_together([slow.run(), give_after(9, "never")]), 1, 2, 3))
    assert (ended, seconds, slow.ended) == ("cancelled at 3", 6, 1)


def test_a_cancellation_at_the_time_of_the_failure_wins() -> None:
    ended, _ = run_virtually(cancelled_at(run_together([fail_after(1, ValueError("first"))]), 1))
    assert ended == "cancelled at 1"


def test_work_that_fails_on_its_way_out_does_not_hide_the_cancellation() -> None:
    work = run_together([Ending(1, KeyError("late")).run(), give_after(9, "never")])
    assert run_virtually(cancelled_at(work, 2))[0] == "cancelled at 2"


def test_work_that_fails_on_its_way_out_does_not_hide_the_first_failure() -> None:
    slow = Ending(5, KeyError("late"))
    with pytest.raises(ValueError, match="first"):
        run_virtually(run_together([slow.run(), fail_after(1, ValueError("first"))]))
    assert slow.ended == 1


def test_of_failures_at_the_same_time_the_first_is_raised() -> None:
    async def run() -> list[str]:
        opened = asyncio.Event()

        async def fail(name: str) -> str:
            await opened.wait()
            raise ValueError(name)

        async def open_it() -> str:
            opened.set()
            return ""

        return await run_together([fail("one"), fail("two"), fail("three"), open_it()])

    with pytest.raises(ValueError, match="one"):
        run_virtually(run())


def test_work_that_cancels_itself_is_cancelled_work() -> None:
    work = run_together([fail_after(1, asyncio.CancelledError("mine")), give_after(3, "other")])
    ended, seconds = run_virtually(cancelled_at(work))
    assert (ended.split()[0], seconds) == ("cancelled", 3)


def test_a_generator_that_breaks_leaves_nothing_running() -> None:
    begun = Ending(0)

    def broken() -> Iterator[Coroutine[object, object, str]]:
        yield begun.run()
        raise ValueError("no more")

    async def run() -> int:
        with pytest.raises(ValueError, match="no more"):
            await run_together(broken())
        return len(asyncio.all_tasks())

    assert run_virtually(run())[0] == 1
