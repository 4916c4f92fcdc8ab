"""Work in the background: again after a failure, at once where there is more, and never cut short."""

import asyncio

import pytest

from app.background import FAILURES, BackgroundLoop
from store.errors import StoreUnavailableError


async def test_a_failure_is_logged_and_the_work_is_done_again(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[Exception] = [StoreUnavailableError("away"), ValueError("broken")]
    done = asyncio.Event()

    async def work() -> int:
        if failures:
            raise failures.pop(0)
        done.set()
        return 0

    before = FAILURES["sweeping"]
    async with BackgroundLoop("sweeping", work, every_seconds=0.001):
        await done.wait()
    assert FAILURES["sweeping"] == before + 2
    assert "sweeping: waiting for the store: away" in caplog.text
    assert "sweeping: failed; trying again" in caplog.text


async def test_it_is_done_again_at_once_while_there_is_something_to_do_and_when_woken() -> None:
    left, idle = [1, 1, 0, 0], asyncio.Event()

    async def work() -> int:
        found = left.pop(0)
        if not found:
            idle.set()
        return found

    async with BackgroundLoop("sweeping", work, every_seconds=3600) as loop:
        await idle.wait()
        assert left == [0]
        idle.clear()
        loop.wake()
        await idle.wait()
    assert left == []


async def test_work_under_way_is_waited_for_when_all_ends() -> None:
    begun, ended = asyncio.Event(), False

    async def work() -> int:
        nonlocal ended
        begun.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ended = True
        return 1

    async with BackgroundLoop("sweeping", work, every_seconds=3600):
        await begun.wait()
    assert ended


async def test_what_a_start_should_not_have_to_do_waits_and_what_is_left_is_done_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []
    worked = asyncio.Event()

    async def work() -> None:
        done.append("work")
        worked.set()

    async def last() -> None:
        done.append("last")
        raise StoreUnavailableError("away")

    async with BackgroundLoop("sweeping", work, every_seconds=3600, waits_first=True, last=last) as loop:
        await asyncio.sleep(0)
        assert done == []
        loop.wake()
        await worked.wait()
    assert done == ["work", "last"]
    assert "sweeping: what was left is lost: away" in caplog.text
