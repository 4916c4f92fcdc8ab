"""``drpo optimize``: start a job, watch it, cancel it with Ctrl-C."""

import asyncio
import http
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live

from app.commands.api_client import ApiClient, ServiceError
from app.commands.progress import JobJson, describe_forecast, describe_step, render_job
from app.commands.terminal import plain
from app.jobs.schemas import FINAL_STATUSES

_REFRESH_SECONDS = 0.3
_JOBS = "/v1/optimizations"

ShowJob = Callable[[JobJson], None]


async def watch_job(
    client: ApiClient, job_id: str, show: ShowJob, *, cancel: asyncio.Event, jobs: str = "/v1/optimizations"
) -> JobJson:
    """Follow a job to its end.

    Args:
        client: the service.
        job_id: the job.
        show: called with each state of the job.
        cancel: once set, the job is asked to stop; its end is still awaited.
        jobs: where jobs of its kind are.

    Raises:
        ServiceError: the service cannot be reached any more, or refuses; the job may still be running.
    """
    asked = False
    while True:
        job: JobJson = await client.get(f"{jobs}/{job_id}")
        show(job)
        if job["status"] in FINAL_STATUSES:
            return job
        if cancel.is_set() and not asked:
            await _cancel(client, f"{jobs}/{job_id}/cancel")
            asked = True
            continue
        await _pause(cancel, asked=asked)


async def optimize(client: ApiClient, request: JobJson, console: Console, *, path: str = _JOBS) -> JobJson:
    """Create the job that ``request`` describes at ``path`` and show it until it ends.

    The first Ctrl-C cancels the job and waits for its end; the second one waits no longer.

    Raises:
        ServiceError: the service cannot be reached, or refuses the job.
        CancelledError: Ctrl-C was pressed twice.
    """
    cancel = asyncio.Event()
    with interrupted(cancel):
        job: JobJson = await client.post(path, request)
        with display(console, job, render_job, describe_step) as show:
            return await watch_job(client, job["id"], show, cancel=cancel)


async def follow(
    client: ApiClient,
    job: JobJson,
    console: Console,
    render: Callable[[JobJson], RenderableType],
    describe: Callable[[JobJson], str],
    jobs: str = _JOBS,
) -> JobJson:
    """Show ``job``, which is there already, until it ends; Ctrl-C as in ``optimize``.

    Raises:
        ServiceError: the service cannot be reached any more.
        CancelledError: Ctrl-C was pressed twice.
    """
    cancel = asyncio.Event()
    with interrupted(cancel), display(console, job, render, describe) as show:
        return await watch_job(client, job["id"], show, cancel=cancel, jobs=jobs)


async def show_estimate(client: ApiClient, request: JobJson, console: Console) -> None:
    """Show what the job that ``request`` describes is expected to take; it is not made.

    Raises:
        ServiceError: the service cannot be reached, or would refuse the job.
    """
    expected = await client.post(f"{_JOBS}/estimate", request)
    console.print(plain(f"expected: {describe_forecast(expected)}"), soft_wrap=True)


async def queue_job(client: ApiClient, request: JobJson) -> JobJson:
    """Create the job that ``request`` describes, and wait for nothing.

    Raises:
        ServiceError: the service cannot be reached, or refuses the job.
    """
    job: JobJson = await client.post(_JOBS, request)
    return job


async def _cancel(client: ApiClient, path: str) -> None:
    try:
        await client.post(path)
    except ServiceError as error:
        if error.status != http.HTTPStatus.CONFLICT:  # it has ended meanwhile
            raise


async def _pause(cancel: asyncio.Event, *, asked: bool) -> None:
    """Wait for the next look at the job, or until somebody wants it to end."""
    if asked:
        await asyncio.sleep(_REFRESH_SECONDS)
        return
    try:
        async with asyncio.timeout(_REFRESH_SECONDS):
            await cancel.wait()
    except TimeoutError:
        return


@contextmanager
def interrupted(cancel: asyncio.Event) -> Iterator[None]:
    """While the block runs the first Ctrl-C sets ``cancel``, and the second one ends this task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def interrupt() -> None:
        if cancel.is_set() and task is not None:
            task.cancel()
        cancel.set()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@contextmanager
def display(
    console: Console,
    job: JobJson,
    render: Callable[[JobJson], RenderableType],
    describe: Callable[[JobJson], str],
) -> Iterator[ShowJob]:
    """A live display on a terminal; elsewhere, such as in a log, a line for each step."""
    if console.is_terminal:
        with Live(render(job), console=console, refresh_per_second=8) as live:
            yield lambda state: live.update(render(state))
        return
    last = ""

    def print_step(state: JobJson) -> None:
        nonlocal last
        step = describe(state)
        if step != last:
            console.print(plain(step), soft_wrap=True)
            last = step

    yield print_step
