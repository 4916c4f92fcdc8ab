"""``drpo likelihood``: how likely versions of a model make reference answers, without a judge."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from app.commands.api_client import ApiClient
from app.commands.connection import ask_service
from app.commands.evaluation import UNALIGNED, differences, show_differences
from app.commands.examples import read_examples
from app.commands.invocation import ConfigOption, JsonOption, KeyOption, UrlOption, errors, out
from app.commands.terminal import plain
from app.commands.versions import ModelArgument, version_id
from app.evaluations.schemas import MOST_VERSIONS
from optimizer.errors import DrpoError, InvalidInputError

_PATH: Final = "/v1/evaluations/likelihood"
_PATIENCE_SECONDS: Final = 90.0
"""The service itself gives up sooner, and says why."""


def likelihood(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: ModelArgument,
    references: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, readable=True, help="JSONL: objects with query and answer"),
    ],
    version: Annotated[
        list[str] | None,
        typer.Option(
            help="An id, number or label; 'none' is the model as it is; repeatable: the first one "
            "is what the others are compared with"
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="References at a time")] = 4,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Measure how likely versions of MODEL make the reference answers: the model writes nothing for it."""
    versions = version or [UNALIGNED, "production"]
    if len(versions) > MOST_VERSIONS:
        raise typer.BadParameter(f"{MOST_VERSIONS} versions at most", param_hint="--version")

    async def work(client: ApiClient) -> dict[str, Any]:
        pairs = _complete(await read_examples(references))
        ids = [None if name == UNALIGNED else await version_id(client, model, name) for name in versions]
        found = await _all(client, model, ids, pairs, concurrency=concurrency)
        return report(model, versions, ids, pairs, found)

    told = ask_service(work, config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(told))
    else:
        show_report(out(), told)
    if not any(item["measured"] for item in told["versions"]):
        errors().print(plain("drpo: no answer was measured", style="red"))
        raise typer.Exit(1)


def _complete(pairs: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    found = [(pair.get("query"), pair.get("answer")) for pair in pairs]
    for number, (query, answer) in enumerate(found, start=1):
        if not isinstance(query, str) or not isinstance(answer, str):
            raise InvalidInputError(f"reference {number}: write an object with 'query' and 'answer'")
    return [(str(query), str(answer)) for query, answer in found]


async def _all(
    client: ApiClient,
    model: str,
    ids: Sequence[str | None],
    pairs: Sequence[tuple[str, str]],
    *,
    concurrency: int,
) -> list[list[dict[str, Any]]]:
    """What is told of every reference, ``concurrency`` of them at a time, in their order."""
    places = asyncio.Semaphore(concurrency)

    async def one(query: str, answer: str) -> list[dict[str, Any]]:
        body = {"model": model, "query": query, "answer": answer, "versions": list(ids)}
        async with places:
            try:
                found: list[dict[str, Any]] = (await client.post(_PATH, body, patience=_PATIENCE_SECONDS))[
                    "data"
                ]
            except DrpoError as error:
                return [{"mean_logprob": None, "unscored_reason": str(error)}] * len(ids)
        return found

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(*pair)) for pair in pairs]
    return [task.result() for task in tasks]


def report(
    model: str,
    names: Sequence[str],
    ids: Sequence[str | None],
    pairs: Sequence[tuple[str, str]],
    found: Sequence[Sequence[dict[str, Any]]],
) -> dict[str, Any]:
    """Means over the references, and how each version differs from the first on those of both."""
    means = [[told[place]["mean_logprob"] for told in found] for place in range(len(ids))]
    measured = [[value for value in values if value is not None] for values in means]
    return {
        "model": model,
        "references": len(pairs),
        "versions": [
            {
                "name": name,
                "version": version,
                "mean_logprob": fmean(values) if values else None,
                "measured": len(values),
            }
            for name, version, values in zip(names, ids, measured, strict=True)
        ],
        "differences": differences(names, means),
        "data": [
            {
                "query": query,
                "answer": answer,
                "mean_logprobs": [item["mean_logprob"] for item in told],
                "failures": [item["unscored_reason"] or "" for item in told],
            }
            for (query, answer), told in zip(pairs, found, strict=True)
        ],
    }


def show_report(console: Console, told: dict[str, Any]) -> None:
    """A column a version, and what they differ by."""
    table = Table(title=f"{told['model']} on {told['references']} reference answers", title_justify="left")
    for heading in ("", *(item["name"] for item in told["versions"])):
        table.add_column(plain(heading), overflow="fold")
    means = [item["mean_logprob"] for item in told["versions"]]
    table.add_row(
        "log-probability of a token", *(plain("-" if mean is None else f"{mean:.3f}") for mean in means)
    )
    table.add_row("measured", *(f"{item['measured']} of {told['references']}" for item in told["versions"]))
    console.print(table)
    show_differences(console, told)
