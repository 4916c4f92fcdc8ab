"""One call for all who ask at the same time."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from optimizer.shared_calls import SharedCalls


class Work:
    """A call that waits until it is let go, and counts what happens to it."""

    def __init__(self, *results: str | Exception) -> None:
        self.results = list(results)
        self.started = 0
        self.cancelled = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.may_go = asyncio.Event()
        self.may_go.set()

    def start(self) -> Coroutine[None, None, str]:
        return self._run()

    async def _run(self) -> str:
        self.started += 1
        self.begun.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            await self.may_go.wait()
            self.cancelled += 1
            raise
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


def ask(calls: SharedCalls[str, str], work: Callable[[], Coroutine[None, None, str]]) -> asyncio.Task[str]:
    return asyncio.create_task(calls.run("key", work))


async def turns(count: int = 5) -> None:
    """Let the other tasks go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_concurrent_askers_share_a_call_and_later_ones_do_not() -> None:
    calls: SharedCalls[str, str] = SharedCalls()
    work = Work("first", "second")
    askers = [ask(calls, work.start) for _ in range(3)]
    await work.begun.wait()
    work.gate.set()
    assert [await asker for asker in askers] == ["first"] * 3
    assert await calls.run("key", work.start) == "second"
    assert work.started == 2


async def test_another_key_is_another_call() -> None:
    calls: SharedCalls[str, str] = SharedCalls()
    work = Work("a", "b")
    work.gate.set()
    async with asyncio.TaskGroup() as group:
        one = group.create_task(calls.run("one", work.start))
        two = group.create_task(calls.run("two", work.start))
    assert {one.result(), two.result()} == {"a", "b"}


async def test_a_failure_reaches_all_askers_and_is_forgotten() -> None:
    calls: SharedCalls[str, str] = SharedCalls()
    work = Work(ValueError("no"), "yes")
    askers = [ask(calls, work.start) for _ in range(2)]
    await work.begun.wait()
    work.gate.set()
    for asker in askers:
        with pytest.raises(ValueError, match="no"):
            await asker
    assert await calls.run("key", work.start) == "yes"


async def test_a_call_that_is_cancelled_cancels_all_who_asked_for_it() -> None:
    calls: SharedCalls[str, str] = SharedCalls()

    async def give_up() -> str:
        raise asyncio.CancelledError

    askers = [ask(calls, give_up) for _ in range(2)]
    await asyncio.wait(askers)
    assert all(asker.cancelled() for asker in askers)
    work = Work("again")
    work.gate.set()
    assert await calls.run("key", work.start) == "again"


async def test_a_cancelled_asker_leaves_the_call_to_the_others() -> None:
    calls: SharedCalls[str, str] = SharedCalls()
    work = Work("done")
    first, second = ask(calls, work.start), ask(calls, work.start)
    await work.begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.gate.set()
    assert await second == "done"
    assert (work.started, work.cancelled) == (1, 0)


async def test_an_asker_that_is_cancelled_just_as_the_call_ends_keeps_nothing_from_the_others() -> None:
    calls: SharedCalls[str, str] = SharedCalls()
    work = Work("done")
    leaver, other = ask(calls, work.start), ask(calls, work.start)
    await work.begun.wait()
    work.gate.set()
    await turns(1)  # the call has ended, and its askers have not been told
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert await other == "done"


async def test_the_last_asker_to_leave_ends_the_call_and_leaves_no_task() -> None:
    calls: SharedCalls[str, str] = SharedCalls()
    work = Work("done")
    before = asyncio.all_tasks()
    askers = [ask(calls, work.start) for _ in range(2)]
    await work.begun.wait()
    work.may_go.clear()
    for asker in askers:
        asker.cancel()
    await turns()
    assert [asker.done() for asker in askers] == [True, False]
    work.may_go.set()
    await asyncio.wait(askers)
    assert all(asker.cancelled() for asker in askers)
    assert work.cancelled == 1
    assert asyncio.all_tasks() == before


async def test_an_abandoned_call_is_not_joined_by_a_newcomer() -> None:
    calls: SharedCalls[str, str] = SharedCalls()
    abandoned, fresh = Work("old"), Work("new")
    fresh.gate.set()
    leaver = ask(calls, abandoned.start)
    await abandoned.begun.wait()
    abandoned.may_go.clear()
    leaver.cancel()
    await turns()
    assert await calls.run("key", fresh.start) == "new"
    assert not leaver.done()
    abandoned.may_go.set()
    with pytest.raises(asyncio.CancelledError):
        await leaver


async def test_a_failed_call_whose_askers_have_not_woken_yet_is_not_joined() -> None:
    calls: SharedCalls[str, str] = SharedCalls()
    newcomers: list[asyncio.Task[str]] = []

    async def good() -> str:
        return "good"

    async def fail_and_be_asked_again() -> str:
        # The newcomer's turn comes when this call has ended and before its asker is woken.
        newcomers.append(ask(calls, good))
        raise ValueError("no")

    asker = ask(calls, fail_and_be_asked_again)
    with pytest.raises(ValueError, match="no"):
        await asker
    assert [await newcomer for newcomer in newcomers] == ["good"]


async def test_a_failure_after_the_last_asker_left_is_not_reported_as_lost() -> None:
    calls: SharedCalls[str, str] = SharedCalls()
    reports: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    begun = asyncio.Event()

    async def fail_when_cancelled() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while going")

    asker = ask(calls, fail_when_cancelled)
    await begun.wait()
    asker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asker
    await turns()
    assert reports == []
