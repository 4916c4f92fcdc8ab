import asyncio
import os
import signal
from collections.abc import Callable, Sequence

import httpx
import pytest

from app.commands.api_client import ApiClient, ServiceError
from app.commands.optimize import optimize, watch_job
from app.commands.progress import JobJson
from tests.app.commands.jobs import CANCELLED, CANCELLING, FAILED, QUEUED, RUNNING, SUCCEEDED, job_json
from tests.app.commands.screen import new_console, text_of

NEXT_ROUND = job_json(progress={**RUNNING["progress"], "round": 3, "rounds_left": 2})


class ScriptedService:
    """Shows the states of a job one after the other; once cancelled, those of its end."""

    def __init__(self, states: Sequence[JobJson], on_look: Callable[[], None] = lambda: None) -> None:
        self.states = list(states)
        self.on_look = on_look
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        if request.url.path.endswith("/cancel"):
            self.states = [CANCELLING, CANCELLED]
            return httpx.Response(200, json=CANCELLING)
        if request.method == "POST":
            return httpx.Response(202, json=QUEUED)
        self.on_look()
        return httpx.Response(200, json=self.states.pop(0) if len(self.states) > 1 else self.states[0])

    def client(self) -> ApiClient:
        return ApiClient(httpx.AsyncClient(transport=httpx.MockTransport(self), base_url="http://drpo"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.commands.optimize._REFRESH_SECONDS", 0.001)


async def test_a_job_is_shown_in_each_state_until_it_ends() -> None:
    seen: list[JobJson] = []
    service = ScriptedService([QUEUED, RUNNING, NEXT_ROUND, SUCCEEDED])
    ended = await watch_job(service.client(), "opt_1", seen.append, cancel=asyncio.Event())
    assert seen == [QUEUED, RUNNING, NEXT_ROUND, SUCCEEDED]
    assert ended == SUCCEEDED
    assert set(service.asked) == {"GET /v1/optimizations/opt_1"}


async def test_a_cancelled_job_is_asked_once_and_watched_to_its_end() -> None:
    cancel = asyncio.Event()
    cancel.set()
    service = ScriptedService([RUNNING])
    ended = await watch_job(service.client(), "opt_1", lambda _: None, cancel=cancel)
    assert ended == CANCELLED
    assert service.asked.count("POST /v1/optimizations/opt_1/cancel") == 1


async def test_a_job_that_ended_before_it_could_be_cancelled_is_left_alone() -> None:
    cancel = asyncio.Event()
    cancel.set()
    service = ScriptedService([SUCCEEDED])
    assert await watch_job(service.client(), "opt_1", lambda _: None, cancel=cancel) == SUCCEEDED
    assert "POST /v1/optimizations/opt_1/cancel" not in service.asked


async def test_ctrl_c_cancels_the_job() -> None:
    service = ScriptedService([RUNNING], on_look=interrupting_once())
    console = new_console()
    job = await optimize(service.client(), {"target": "simulated-small"}, console)
    assert job["status"] == "cancelled"
    assert text_of(console).splitlines()[-1].startswith("opt_1: cancelled")


def interrupting_once() -> Callable[[], None]:
    left = [signal.SIGINT]
    return lambda: os.kill(os.getpid(), left.pop()) if left else None


async def test_a_second_ctrl_c_waits_no_longer() -> None:
    def stubborn(request: httpx.Request) -> httpx.Response:
        os.kill(os.getpid(), signal.SIGINT)
        return httpx.Response(200, json=CANCELLING)

    client = ApiClient(httpx.AsyncClient(transport=httpx.MockTransport(stubborn), base_url="http://drpo"))
    task = asyncio.create_task(optimize(client, {}, new_console()))
    await asyncio.wait([task])
    assert task.cancelled()


async def test_ctrl_c_means_what_it_meant_before_once_the_job_has_ended() -> None:
    before = signal.getsignal(signal.SIGINT)
    await optimize(ScriptedService([FAILED]).client(), {}, new_console())
    assert signal.getsignal(signal.SIGINT) in {before, signal.default_int_handler}


async def test_a_log_gets_a_line_for_each_step() -> None:
    console = new_console(width=40)
    later = {**RUNNING, "elapsed_seconds": 75.0}
    await optimize(ScriptedService([QUEUED, RUNNING, later, NEXT_ROUND, SUCCEEDED]).client(), {}, console)
    assert text_of(console).splitlines() == [
        "opt_1: waiting for a free worker",
        "opt_1: searching, round 2 of 5, best so far 4.12",
        "opt_1: searching, round 3 of 5, best so far 4.12",
        "opt_1: succeeded, round 5 of 5, best so far 4.12",
    ]


async def test_a_terminal_gets_a_live_display() -> None:
    console = new_console(terminal=True)
    await optimize(ScriptedService([RUNNING, SUCCEEDED]).client(), {}, console)
    told = text_of(console)
    assert "succeeded" in told
    assert "60 calls" in told
    assert "━" * 50 in told
    assert told.endswith("\n\x1b[?25h")


async def test_a_service_that_refuses_the_job_ends_the_command() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={"error": {"message": "preset: no"}})

    client = ApiClient(httpx.AsyncClient(transport=httpx.MockTransport(refuse), base_url="http://drpo"))
    with pytest.raises(ServiceError, match="400: preset: no"):
        await optimize(client, {}, new_console())
