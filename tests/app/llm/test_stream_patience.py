"""On a clock that jumps: nothing is waited for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.backend_settings import TimeoutSettings
from app.llm.stream_patience import StreamPatience
from optimizer.errors import BackendUnavailableError
from tests.fakes.virtual_time import run_virtually

TIMEOUTS = TimeoutSettings(first_token_seconds=30, idle_seconds=5, stream_seconds=100)


async def read(pauses: list[float], *, frames: bool = True) -> int:
    """Wait ``pauses`` out one after the other; each ends with a frame, or with no more than a comment."""
    patience = StreamPatience(TIMEOUTS, backend="b")

    async def chunks() -> AsyncIterator[bytes]:
        for pause in pauses:
            await asyncio.sleep(pause)
            yield b"x"

    came = aiter(chunks())
    count = 0
    try:
        while await patience.wait(anext(came, None)) is not None:
            count += 1
            if frames:
                patience.frame_came()
    finally:
        patience.close()
    return count


@pytest.mark.parametrize(
    ("pauses", "frames", "setting", "at"),
    [
        ([31], True, "first_token_seconds", 30),
        ([20, 20], False, "first_token_seconds", 30),
        ([29, 4.5, 6], True, "idle_seconds", 38.5),
        ([4] * 40, True, "stream_seconds", 100),
    ],
)
def test_a_backend_that_is_too_slow_is_given_up_and_the_setting_named(
    pauses: list[float], frames: bool, setting: str, at: float
) -> None:
    async def meets_the_limit() -> None:
        with pytest.raises(BackendUnavailableError, match=rf"backends\.b\.timeouts\.{setting}"):
            await read(pauses, frames=frames)

    _, seconds = run_virtually(meets_the_limit())
    assert seconds == pytest.approx(at)


def test_frames_in_time_are_waited_for() -> None:
    count, seconds = run_virtually(read([29, 4, 4, 4]))
    assert count == 4
    assert seconds == pytest.approx(41)


def test_a_time_out_of_the_step_itself_is_not_taken_for_a_limit() -> None:
    async def gives_up() -> None:
        raise TimeoutError("mine")

    async def waits() -> None:
        with pytest.raises(TimeoutError, match="mine"):
            await StreamPatience(TIMEOUTS, backend="b").wait(gives_up())

    run_virtually(waits())


def test_a_client_that_takes_long_does_not_count_against_the_backend() -> None:
    async def reads_slowly() -> int:
        patience = StreamPatience(TIMEOUTS, backend="b")
        await patience.wait(asyncio.sleep(1))
        patience.frame_came()
        await asyncio.sleep(60)  # the client takes its frame
        patience.frame_came()
        await patience.wait(asyncio.sleep(4))
        patience.close()
        return 1

    assert run_virtually(reads_slowly())[0] == 1


def test_a_backend_that_is_silent_after_a_slow_client_is_given_up_all_the_same() -> None:
    async def waits() -> None:
        patience = StreamPatience(TIMEOUTS, backend="b")
        await patience.wait(asyncio.sleep(1))
        patience.frame_came()
        await asyncio.sleep(60)
        patience.frame_came()
        with pytest.raises(BackendUnavailableError, match="idle_seconds"):
            await patience.wait(asyncio.sleep(1000))

    _, seconds = run_virtually(waits())
    assert 66 <= seconds < 68


def test_a_reader_that_is_cancelled_from_outside_stays_cancelled() -> None:
    async def cancelled() -> None:
        patience = StreamPatience(TIMEOUTS, backend="b")
        reader = asyncio.ensure_future(patience.wait(asyncio.sleep(20)))
        await asyncio.sleep(1)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        patience.close()

    run_virtually(cancelled())
