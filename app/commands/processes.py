"""``drpo serve``, ``drpo worker`` and ``drpo migrate``: the commands that are processes of the service."""

from typing import Annotated

import typer

from app.commands.invocation import ConfigOption, errors, out, run_work
from app.commands.terminal import plain
from app.logs import configure_logging
from app.settings import load_settings, with_options


def serve(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on")] = None,
    no_jobs: Annotated[bool, typer.Option("--no-jobs", help="Leave jobs to 'drpo worker'")] = False,
    vllm: Annotated[
        str | None, typer.Option("--vllm", help="Start vLLM with this model, and serve it")
    ] = None,
) -> None:
    """Run the service: API and jobs in one process."""
    from app import server  # noqa: PLC0415 - as in ``commands.connection``

    loaded = load_settings(config, above=None if vllm is None else {"vllm": {"model": vllm}})
    settings = with_options(loaded, "server", host=host, port=port)
    if no_jobs:
        settings = with_options(settings, "jobs", max_running=0)
    configure_logging(settings.logging)

    def announce(base_url: str) -> None:
        errors().print(plain(f"drpo serves {base_url}/v1; Ctrl-C stops it"), soft_wrap=True)

    def tell(progress: str) -> None:
        errors().print(plain(f"drpo: {progress}"), soft_wrap=True)

    run_work(server.serve(settings, announce, tell=tell))


def worker(
    config: ConfigOption = None,
    host: Annotated[str | None, typer.Option(help="Address to answer probes on")] = None,
    port: Annotated[int | None, typer.Option(help="Port to answer probes on")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=1000, help="Jobs to run at once")] = None,
) -> None:
    """Run jobs beside services on the same PostgreSQL database; any number of workers may."""
    from app import server  # noqa: PLC0415 - as in ``commands.connection``

    settings = with_options(load_settings(config), "worker", host=host, port=port)
    settings = with_options(settings, "jobs", max_running=jobs)
    configure_logging(settings.logging)

    def announce(base_url: str) -> None:
        errors().print(plain(f"drpo works, probes at {base_url}/readyz; Ctrl-C stops it"), soft_wrap=True)

    run_work(server.work(settings, announce))


def migrate(config: ConfigOption = None) -> None:
    """Bring the database schema up to date."""
    from app import migrate as migrations  # noqa: PLC0415 - as in ``commands.connection``

    settings = load_settings(config)
    configure_logging(settings.logging)
    run_work(migrations.migrate(settings))
    out().print("the schema is up to date")
