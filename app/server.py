"""Running the service: resources first, then the API on top of them, so that failures are clear."""

import asyncio
import contextlib
import dataclasses
import gc
import logging
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI

from app.database import require_shared_database
from app.listening import Server, listen, running, stopped_by_signals, url_of
from app.main import create_app, create_probe_app
from app.resources import Resources, open_resources
from app.schedules.scheduler import scheduled
from app.settings import Settings
from app.vllm.opening import open_vllm, require_known_place
from optimizer.errors import InvalidInputError

_LOGGER = logging.getLogger(__name__)
_NEW_OBJECTS = 20_000
"""After so many that are still there the collector looks: a few hundred requests at once make fewer."""


async def serve(
    settings: Settings, on_ready: Callable[[str], None], *, tell: Callable[[str], None] = _LOGGER.info
) -> None:
    """Serve API and jobs until SIGINT or SIGTERM; requests under way get a few seconds to end.

    Args:
        settings: where to listen, and everything else.
        on_ready: told the base URL as soon as the service listens.
        tell: hears, in words, how the start of vLLM goes, where the settings ask for it.

    Raises:
        InvalidInputError: the settings, the address or the store cannot be used; the message says what to
            change.
    """
    async with (
        open_vllm(settings, tell) as (placed, vllm),
        open_resources(placed) as opened,
        scheduled(opened),
    ):
        resources = dataclasses.replace(opened, vllm=vllm)
        await _until_stopped(resources, create_app(resources), "server", on_ready)


async def work(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Work on jobs until SIGINT or SIGTERM, and answer probes; what is running is handed over then.

    Args:
        settings: where to answer probes, how many jobs, and everything else.
        on_ready: told the base URL of the probes as soon as they are answered.

    Raises:
        InvalidInputError: the settings, the address or the store cannot be used; the message says what to
            change.
    """
    require_shared_database(settings)
    require_known_place(settings)
    if settings.jobs.max_running == 0:
        raise InvalidInputError(
            "jobs.max_running is 0: a worker would do nothing; set it to the number of jobs to run at once",
            param="jobs.max_running",
        )
    async with open_resources(settings) as resources, scheduled(resources):
        await _until_stopped(resources, create_probe_app(resources), "worker", on_ready)


@contextlib.asynccontextmanager
async def embedded_service(settings: Settings) -> AsyncIterator[str]:
    """Serve on a free loopback port while the block runs; gives the base URL.

    Raises:
        InvalidInputError: the settings or the store cannot be used.
    """
    require_known_place(settings)
    async with open_resources(settings) as resources, scheduled(resources), embedded_app(resources) as url:
        yield url


@contextlib.asynccontextmanager
async def embedded_app(resources: Resources) -> AsyncIterator[str]:
    """Serve ``resources`` on a free loopback port while the block runs; gives the base URL."""
    with await listen("127.0.0.1", 0, setting="server") as listener:
        app = create_app(resources)
        settle()
        async with running(Server(app), listener):
            yield url_of(listener)


async def _until_stopped(
    resources: Resources, app: FastAPI, group: str, on_ready: Callable[[str], None]
) -> None:
    """Answer with ``app`` at the address in the settings' ``group`` until a signal comes."""
    address = resources.settings.server if group == "server" else resources.settings.worker
    with await listen(address.host, address.port, setting=group) as listener:
        settle()
        server = Server(app)
        # jobs are handed over at once: open requests must not hold them back
        with stopped_by_signals(server, resources.runner.retire):
            async with running(server, listener) as serving:
                on_ready(url_of(listener))
                await asyncio.wait([serving])  # unlike awaiting it, this does not cancel it with us


def settle() -> None:
    """Take all that was loaded out of garbage collection, and let that look for cycles rarely.

    What was loaded stays for ever; walking through it held the loop for 0.2 s now and then. Requests leave no
    cycles behind, but many at once look like a lot of new objects: the usual threshold of 700 had the
    collector walk through them again and again, for a tenth of the CPU.
    """
    gc.collect()
    gc.freeze()
    _, second, third = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, second, third)
