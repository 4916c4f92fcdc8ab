import logging
import os
import signal
from pathlib import Path

import pytest

from app.vllm.supervised import SupervisedVllm
from optimizer.errors import InvalidInputError
from tests.app.vllm.fake_command import FakeVllm, die, is_running, parent_of, until

ENDED = 3


@pytest.fixture
def fake(tmp_path: Path) -> FakeVllm:
    return FakeVllm(tmp_path)


def silent(_: str) -> None:
    """Nobody listens."""


async def test_it_waits_until_the_server_is_well_and_says_how_that_goes(fake: FakeVllm) -> None:
    told: list[str] = []
    settings = fake.settings()
    seconds = iter(float(number) for number in range(1000))
    supervised = SupervisedVllm(
        settings, fake.environment(slow_for=12), tell=told.append, clock=lambda: next(seconds)
    )
    states = [supervised.state]
    async with supervised:
        states.append(supervised.state)
    assert [*states, supervised.state] == ["starting", "ok", "stopped"]
    assert told[0] == f"starting some/tiny with vLLM at http://127.0.0.1:{settings.port}"
    assert "vLLM is loading some/tiny (5 s)" in told
    assert told[-1].startswith("vLLM is ready after ")


async def test_it_leaves_nothing_running_not_even_what_the_server_has_started(fake: FakeVllm) -> None:
    async with SupervisedVllm(fake.settings(), fake.environment(has_an_engine=True), tell=silent):
        server = fake.starts()[0]["pid"]
        engine = int((fake.folder / "engine.pid").read_text(encoding="utf-8"))
        assert is_running(server)
        assert is_running(engine)
    await until(lambda: not is_running(server) and not is_running(engine))


async def test_a_server_that_does_not_stop_is_killed(fake: FakeVllm) -> None:
    settings = fake.settings(stop_seconds=0.1)
    async with SupervisedVllm(settings, fake.environment(ignores_sigterm=True), tell=silent):
        server = fake.starts()[0]["pid"]
    assert not is_running(server)


async def test_what_a_server_says_of_its_end_is_no_error_where_it_was_told_to_end(
    fake: FakeVllm, caplog: pytest.LogCaptureFixture
) -> None:
    environment = fake.environment(complains_at_its_end=True)
    with caplog.at_level(logging.INFO, logger="app.vllm"):
        async with SupervisedVllm(fake.settings(), environment, tell=silent):
            pass
    levels = {record.getMessage(): record.levelno for record in caplog.records}
    assert levels["ERROR the engine is dead"] == logging.INFO
    assert max(levels.values()) == logging.INFO


async def test_it_ends_with_its_keeper(fake: FakeVllm) -> None:
    settings = fake.settings(max_restarts=0)
    async with SupervisedVllm(settings, fake.environment(), tell=silent) as supervised:
        server = fake.starts()[0]["pid"]
        os.kill(parent_of(server), signal.SIGKILL)
        await until(lambda: not is_running(server))
        await until(lambda: supervised.state == "failed")


@pytest.mark.parametrize(
    ("last_words", "hint"),
    [
        ("OSError: [Errno 98] Address already in use", "set vllm.port to another one"),
        ("vllm: error: unrecognized arguments: --no-such", "see vllm.arguments"),
        ("torch.OutOfMemoryError: CUDA out of memory.", "the model does not fit"),
        ("OSError: some/tiny is not a valid model identifier", "the model was not found"),
        ("RuntimeError: Failed to infer device type", "vLLM finds no GPU"),
    ],
)
async def test_one_that_ends_at_once_is_a_message_with_its_last_words_and_a_hint(
    fake: FakeVllm, last_words: str, hint: str
) -> None:
    environment = fake.environment(always_fails=True, last_words=last_words)
    with pytest.raises(InvalidInputError, match="vLLM ended with status 3 before it answered") as caught:
        async with SupervisedVllm(fake.settings(), environment, tell=silent):
            pass
    assert hint in str(caught.value)
    assert last_words in str(caught.value)
    assert len(fake.starts()) == 1, "a first start that fails is the user's to mend"


async def test_one_that_is_never_well_is_given_up(fake: FakeVllm) -> None:
    settings, never = fake.settings(start_seconds=9), fake.environment(slow_for=10**6)

    def clock() -> float:
        return 10.0 if fake.has_started() else 0.0

    with pytest.raises(InvalidInputError, match=r"not ready after 9 s \(vllm.start_seconds\)"):
        async with SupervisedVllm(settings, never, tell=silent, clock=clock):
            pass
    assert not is_running(fake.starts()[0]["pid"])


async def test_a_server_that_dies_is_started_again_at_the_same_place(
    fake: FakeVllm, caplog: pytest.LogCaptureFixture
) -> None:
    settings = fake.settings()
    environment = fake.environment(fails_at=[2])  # the first restart fails, too
    with caplog.at_level(logging.INFO, logger="app.vllm"):
        async with SupervisedVllm(settings, environment, tell=silent) as supervised:
            await die(settings.port, status=7)
            await until(lambda: len(fake.starts()) == ENDED and supervised.state == "ok")
    assert [start["argv"] for start in fake.starts()] == [fake.starts()[0]["argv"]] * ENDED
    messages = "\n".join(caplog.messages)
    assert "vLLM ended with status 7" in messages
    assert "the engine is dead" in messages
    assert "vLLM ended with status 3 before it answered" in messages
    assert any(
        record.levelno == logging.ERROR and record.name == "app.vllm.output" for record in caplog.records
    )


async def test_one_that_dies_again_and_again_is_given_up_with_longer_and_longer_waits(
    fake: FakeVllm,
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    settings = fake.settings(max_restarts=4, first_restart_seconds=1, longest_restart_seconds=3)
    environment = fake.environment(fails_at=[2, 3, 4, 5])
    async with SupervisedVllm(settings, environment, tell=silent, sleep=sleep) as supervised:
        await die(settings.port)
        await until(lambda: supervised.state == "failed")
    assert [wait for wait in waits if wait >= 1] == [1, 2, 3, 3]
    assert len(fake.starts()) == 5


async def test_a_minute_of_health_wipes_out_earlier_failures(fake: FakeVllm) -> None:
    now = [0.0]
    settings = fake.settings(max_restarts=1)
    supervised = SupervisedVllm(settings, fake.environment(), tell=silent, clock=lambda: now[0])
    async with supervised:
        for lives in range(2, 5):
            now[0] += 61
            await die(settings.port)
            await until(lambda lives=lives: len(fake.starts()) == lives and supervised.state == "ok")  # type: ignore[misc]
        await die(settings.port)
        await until(lambda: supervised.state == "failed")
