"""The service that a command talks to, wherever it runs."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.commands.api_client import ApiClient, api_client, is_running, local_url, read_base_url
from app.commands.invocation import run_work
from app.configuration import read_secret
from app.logs import log_for_command
from app.settings import load_settings, with_options


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """Where a command finds the service."""

    base_url: str
    api_key: str | None


@asynccontextmanager
async def open_service(
    config: Path | None, url: str | None, key_file: Path | None, *, for_jobs: bool = False
) -> AsyncIterator[Service]:
    """The service that a command talks to: at ``url``, the configured one, or one started here.

    One started here works on jobs only where the command is ``for_jobs``: looking at prompts must not go on
    with, and pay for, a job that an earlier process left behind.
    """
    log_for_command()
    if url is not None:
        given = None if key_file is None else read_secret(key_file, "--api-key-file").get_secret_value()
        yield Service(base_url=read_base_url(url), api_key=given)
        return
    settings = load_settings(config)
    secret = settings.server.read_api_key()
    key = None if secret is None else secret.get_secret_value()
    configured = local_url(settings.server.host, settings.server.port)
    if settings.server.port and await is_running(configured):
        yield Service(base_url=configured, api_key=key)
        return
    if not for_jobs:
        settings = with_options(settings, "jobs", max_running=0)
    # The service is most of the program, and commands for one elsewhere do without it.
    from app.server import embedded_service  # noqa: PLC0415

    async with embedded_service(settings) as base_url:
        yield Service(base_url=base_url, api_key=key)


@asynccontextmanager
async def open_client(
    config: Path | None, url: str | None, key_file: Path | None, *, for_jobs: bool = False
) -> AsyncIterator[ApiClient]:
    """A client of ``open_service``."""
    async with (
        open_service(config, url, key_file, for_jobs=for_jobs) as service,
        api_client(service.base_url, service.api_key) as client,
    ):
        yield client


def ask_service(
    ask: Callable[[ApiClient], Coroutine[Any, Any, Any]],
    config: Path | None,
    url: str | None,
    key_file: Path | None,
    *,
    for_jobs: bool = False,
) -> Any:
    """What ``ask`` gives with a client of ``open_service``.

    Raises:
        Exit: it was interrupted.
    """

    async def work() -> Any:
        async with open_client(config, url, key_file, for_jobs=for_jobs) as client:
            return await ask(client)

    return run_work(work())
