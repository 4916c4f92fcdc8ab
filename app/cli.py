"""``drpo``: its processes, jobs, prompts, labels, keys, usage, webhooks, schedules, chat, demo."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from app.commands.api_client import ApiClient, parse_setting
from app.commands.chat import ask
from app.commands.connection import open_client as _client
from app.commands.connection import open_service as _service
from app.commands.demo import run_demo
from app.commands.evaluation import evaluate
from app.commands.examples import build_bank, print_bank, read_examples
from app.commands.invocation import (
    INTERRUPTED,
    ConfigOption,
    JsonOption,
    KeyOption,
    UrlOption,
    errors,
    out,
    run_work,
)
from app.commands.jobs import app as jobs_app
from app.commands.keys import app as keys_app
from app.commands.labels import app as labels_app
from app.commands.ledger import show_ledger
from app.commands.likelihood import likelihood
from app.commands.next_steps import show_next_steps
from app.commands.optimize import optimize as run_optimize
from app.commands.optimize import queue_job, show_estimate
from app.commands.processes import migrate, serve, worker
from app.commands.progress import print_result
from app.commands.prompts import show_models, show_versions
from app.commands.reward_options import read_rewards
from app.commands.schedules import app as schedules_app
from app.commands.terminal import plain
from app.commands.transfer import export, import_prompt
from app.commands.usage import usage
from app.commands.versions import diff, promote, rollback
from app.commands.webhooks import app as webhooks_app
from app.logs import log_for_command
from app.settings import load_settings
from optimizer.errors import DrpoError
from store.errors import StoreError

app = typer.Typer(
    help="Align a language model without training it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they may hold keys
)

for command in (serve, worker, migrate, usage, diff, promote, rollback, export):
    app.command()(command)
app.command("import")(import_prompt)
app.command("eval")(evaluate)
app.command()(likelihood)
app.add_typer(jobs_app, name="jobs")
app.add_typer(keys_app, name="keys")
app.add_typer(labels_app, name="labels")
app.add_typer(webhooks_app, name="webhooks")
app.add_typer(schedules_app, name="schedules")


def main() -> None:
    """Run the command line; a known error is one message on stderr and exit code 1."""
    try:
        app(standalone_mode=True)
    except (DrpoError, StoreError) as error:
        errors().print(plain(f"drpo: {error}", style="red"), soft_wrap=True)
        sys.exit(1)


@app.command()
def optimize(
    target: Annotated[str, typer.Argument(help="A configured target")],
    preset: Annotated[str, typer.Option(help="default, paper or mini")] = "default",
    queries: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, help="JSONL; default: the built-in queries"),
    ] = None,
    seed_prompt: Annotated[str | None, typer.Option(help="Where the search starts")] = None,
    held_out: Annotated[int, typer.Option(help="Queries kept for the final comparison")] = 30,
    gate: Annotated[list[str] | None, typer.Option(help="name=value, of the comparison")] = None,
    label: Annotated[str, typer.Option(help="Label to move on success; 'none' moves none")] = "production",
    budget_calls: Annotated[int | None, typer.Option(help="Calls at most")] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Tokens at most")] = None,
    budget_cost: Annotated[float | None, typer.Option(help="Money at most")] = None,
    budget_seconds: Annotated[float | None, typer.Option(help="Running time at most")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="name=value, e.g. depth=8")] = None,
    criterion: Annotated[list[str] | None, typer.Option(help="'Name: description', judged on all")] = None,
    weight: Annotated[list[str] | None, typer.Option(help="Of a criterion, e.g. Safety=2")] = None,
    rewards: Annotated[Path | None, typer.Option(help="JSON file: the rewards of the request")] = None,
    examples: Annotated[str | None, typer.Option(help="Example bank; default: the built-in one")] = None,
    watch: Annotated[bool, typer.Option(help="Show the job until it ends")] = True,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search a better system prompt for TARGET and watch it; Ctrl-C cancels."""
    budget = {"calls": budget_calls, "tokens": budget_tokens, "cost": budget_cost, "seconds": budget_seconds}
    request = {
        "target": target,
        "preset": preset,
        "settings": dict(parse_setting(text) for text in setting or []),
        "seed_prompt": seed_prompt,
        "rewards": read_rewards(rewards, criterion or [], weight or []),
        "held_out": held_out,
        "gate": dict(parse_setting(text, "--gate") for text in gate or []),
        "label": None if label == "none" else label,
        "budget": {name: value for name, value in budget.items() if value is not None},
        **({} if examples is None else {"examples": {"bank": examples}}),
    }

    async def work() -> dict[str, Any]:
        async with _client(config, url, api_key_file, for_jobs=watch) as client:
            if queries is not None:
                request["queries"] = await _upload(client, queries)
            console = errors() if as_json else out()
            await show_estimate(client, request, console)
            return await (run_optimize(client, request, console) if watch else queue_job(client, request))

    _end_with(run_work(work()), as_json=as_json, watched=watch)


@app.command("examples")
def build_examples(
    file: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, readable=True, help="JSONL; default: the built-in bank"),
    ] = None,
    preset: Annotated[str, typer.Option(help="default, paper or mini")] = "default",
    refine: Annotated[bool, typer.Option(help="Make the answers better, and write missing ones")] = True,
    name: Annotated[str | None, typer.Option(help="Shown in lists")] = None,
    budget_calls: Annotated[int | None, typer.Option(help="Calls at most")] = None,
    budget_tokens: Annotated[int | None, typer.Option(help="Tokens at most")] = None,
    budget_cost: Annotated[float | None, typer.Option(help="Money at most")] = None,
    budget_seconds: Annotated[float | None, typer.Option(help="Running time at most")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="name=value, e.g. rounds=5")] = None,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build a bank of in-context examples from FILE and watch it; Ctrl-C cancels."""
    budget = {"calls": budget_calls, "tokens": budget_tokens, "cost": budget_cost, "seconds": budget_seconds}
    request: dict[str, Any] = {
        "preset": preset,
        "refine": refine,
        "name": name,
        "settings": dict(parse_setting(text) for text in setting or []),
        "budget": {limit: value for limit, value in budget.items() if value is not None},
    }

    async def work() -> dict[str, Any]:
        if file is not None:
            request["examples"] = await read_examples(file)
        async with _client(config, url, api_key_file, for_jobs=True) as client:
            return await build_bank(client, request, errors() if as_json else out())

    bank = run_work(work())
    if as_json:
        out().print_json(json.dumps(bank))
    else:
        print_bank(out(), bank)
    raise typer.Exit(_exit_code(bank["status"]))


@app.command()
def replay(
    job: Annotated[str, typer.Argument(help="A job that has ended")],
    setting: Annotated[list[str] | None, typer.Option("--set", help="name=value, e.g. beam_width=4")] = None,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what JOB would have found under other settings, from its recorded calls; it costs nothing."""
    request = {"settings": dict(parse_setting(text) for text in setting or [])}
    path = f"/v1/optimizations/{quote(job, safe='')}/replay"

    async def work() -> dict[str, Any]:
        async with _client(config, url, api_key_file, for_jobs=True) as client:
            return await run_optimize(client, request, errors() if as_json else out(), path=path)

    _end_with(run_work(work()), as_json=as_json)


@app.command()
def ledger(
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how much the call ledger holds, and its bounds."""

    async def work() -> dict[str, Any]:
        async with _client(config, url, api_key_file) as client:
            found: dict[str, Any] = await client.get("/v1/ledger")
            return found

    found = run_work(work())
    if as_json:
        out().print_json(json.dumps(found))
    else:
        show_ledger(out(), found)


@app.command()
def prompts(
    model: Annotated[str | None, typer.Argument(help="Show this model's versions")] = None,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the prompt that each model is served with, or the versions of one model."""
    path = "/v1/prompts" if model is None else f"/v1/prompts/{quote(model)}/versions"

    async def work() -> list[dict[str, Any]]:
        async with _client(config, url, api_key_file) as client:
            listed: list[dict[str, Any]] = (await client.get(path))["data"]
            return listed

    found = run_work(work())
    if as_json:
        out().print_json(json.dumps(found))
    elif model is None:
        show_models(out(), found)
    else:
        show_versions(out(), found)


@app.command()
def chat(
    model: Annotated[str, typer.Argument(help="A configured target")],
    message: Annotated[str, typer.Argument(help="What to ask")],
    version: Annotated[str | None, typer.Option(help="Answer with this prompt version")] = None,
    unaligned: Annotated[bool, typer.Option("--unaligned", help="Ask the model as it is")] = False,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Ask MODEL a question, aligned."""
    extension: dict[str, Any] = {"align": not unaligned}
    if version is not None:
        extension["prompt_version"] = version

    async def work() -> None:
        async with _service(config, url, api_key_file) as service:
            request: dict[str, Any] = {"model": model, "message": message, "drpo": extension}
            await ask(service.base_url, service.api_key, request, answers=out(), notes=errors())

    run_work(work())


@app.command()
def demo(
    vllm: Annotated[
        str | None, typer.Option("--vllm", help="Start vLLM with this model and make it the target")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Run a search on the simulated backend and ask through the result; nothing is kept.

    With --vllm the target is a real model. Only the table [vllm] of the configuration is used then.
    """
    log_for_command(only_errors_of=("app.vllm.output",))  # vLLM's start is full of warnings
    server = None if vllm is None else load_settings(config, above={"vllm": {"model": vllm}}).vllm
    status = run_work(run_demo(out(), server))
    if status != "succeeded":
        raise typer.Exit(_exit_code(status))
    show_next_steps(out(), sys.argv[0])


def _end_with(job: dict[str, Any], *, as_json: bool, watched: bool = True) -> None:
    if as_json:
        out().print_json(json.dumps(job))
    elif watched:
        print_result(out(), job)
    else:
        out().print(plain(f"{job['id']} is {job['status']}: 'drpo jobs watch {job['id']}' shows it"))
    raise typer.Exit(_exit_code(job["status"]) if watched else 0)


def _exit_code(status: str) -> int:
    return {"succeeded": 0, "cancelled": INTERRUPTED}.get(status, 1)


async def _upload(client: ApiClient, path: Path) -> dict[str, str]:
    dataset = await client.upload("/v1/datasets", path.name, await asyncio.to_thread(path.read_bytes))
    return {"dataset": dataset["id"]}


if __name__ == "__main__":
    main()
