"""``drpo eval``: how versions of a model answer queries, by the judge's scores and a paired interval."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from app.commands.api_client import ApiClient, ServiceError
from app.commands.connection import ask_service
from app.commands.invocation import ConfigOption, JsonOption, KeyOption, UrlOption, errors, out
from app.commands.terminal import plain
from app.commands.versions import ModelArgument, version_id
from app.datasets.parsing import parse_jsonl
from optimizer.errors import DrpoError
from optimizer.statistics import simultaneous_differences

UNALIGNED: Final = "none"
_MOST_VERSIONS: Final = 8
_PATIENCE_SECONDS: Final = 3600.0
"""For an answer and for its judges: the service's own limits end what takes too long, and say why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """One query with the answers of all versions, in their order.

    Attributes:
        answers: None where there is none.
        verdicts: as ``POST /v1/evaluations`` gives them; None for an answer that is not there.
        failures: why there is no answer, or none was judged; empty strings else.
    """

    query: str
    answers: tuple[str | None, ...]
    verdicts: tuple[dict[str, Any] | None, ...]
    failures: tuple[str, ...]


def evaluate(  # noqa: PLR0913, PLR0917 - one parameter for each option
    model: ModelArgument,
    queries: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, readable=True, help="JSONL: texts, or objects with text"),
    ],
    version: Annotated[
        list[str] | None,
        typer.Option(
            help="An id, number or label; 'none' asks the model as it is; repeatable: the first one "
            "is what the others are compared with"
        ),
    ] = None,
    judge: Annotated[str | None, typer.Option(help="One of the configured judges")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Queries at a time")] = 4,
    url: UrlOption = None,
    api_key_file: KeyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Have versions of MODEL answer the queries, and judge the answers; it costs what asking costs."""
    versions = version or ["production"]
    if len(versions) > _MOST_VERSIONS:
        raise typer.BadParameter(f"{_MOST_VERSIONS} versions at most", param_hint="--version")
    texts = [query.text for query in parse_jsonl(queries.read_bytes())]

    async def work(client: ApiClient) -> dict[str, Any]:
        ids = [None if name == UNALIGNED else await version_id(client, model, name) for name in versions]
        found = await _all(client, model, ids, texts, judge=judge, concurrency=concurrency)
        return report(model, versions, ids, found)

    told = ask_service(work, config, url, api_key_file)
    if as_json:
        out().print_json(json.dumps(told))
    else:
        show_report(out(), told)
    if not any(item["scored"] for item in told["versions"]):
        errors().print(plain("drpo: no answer was scored", style="red"))
        raise typer.Exit(1)


async def _all(
    client: ApiClient,
    model: str,
    ids: Sequence[str | None],
    texts: Sequence[str],
    *,
    judge: str | None,
    concurrency: int,
) -> list[Evaluated]:
    """Every query, ``concurrency`` of them at a time, in their order."""
    places = asyncio.Semaphore(concurrency)

    async def one(text: str) -> Evaluated:
        async with places:
            return await _evaluated(client, model, ids, text, judge)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(text)) for text in texts]
    return [task.result() for task in tasks]


async def _evaluated(
    client: ApiClient, model: str, ids: Sequence[str | None], text: str, judge: str | None
) -> Evaluated:
    answers: list[str | None] = []
    failures: list[str] = []
    for version in ids:
        try:
            answers.append(await _answer(client, model, version, text))
            failures.append("")
        except DrpoError as error:
            answers.append(None)
            failures.append(str(error))
    verdicts: list[dict[str, Any] | None] = [None] * len(answers)
    there = [place for place, answer in enumerate(answers) if answer]
    if there:
        body = {"query": text, "answers": [answers[place] for place in there], "judge": judge}
        try:
            judged = (await client.post("/v1/evaluations", body, patience=_PATIENCE_SECONDS))["data"]
        except ServiceError as error:
            for place in there:
                failures[place] = str(error)
        else:
            for place, verdict in zip(there, judged, strict=True):
                verdicts[place] = verdict
                failures[place] = verdict["unscored_reason"] or ""
    return Evaluated(query=text, answers=tuple(answers), verdicts=tuple(verdicts), failures=tuple(failures))


async def _answer(client: ApiClient, model: str, version: str | None, text: str) -> str:
    extension = {"align": False} if version is None else {"prompt_version": version}
    body = {"model": model, "messages": [{"role": "user", "content": text}], "drpo": extension}
    found = await client.post("/v1/chat/completions", body, patience=_PATIENCE_SECONDS)
    return str(found["choices"][0]["message"]["content"] or "")


def report(
    model: str, names: Sequence[str], ids: Sequence[str | None], found: Sequence[Evaluated]
) -> dict[str, Any]:
    """What all answers amount to, and how each version differs from the first on the queries of both."""
    rewards = [[_reward(item.verdicts[place]) for item in found] for place in range(len(ids))]
    return {
        "model": model,
        "queries": len(found),
        "versions": [
            {
                "name": names[place],
                "version": ids[place],
                "reward": _mean([value for value in rewards[place] if value is not None]),
                "scored": sum(value is not None for value in rewards[place]),
                "criteria": _criteria([item.verdicts[place] for item in found]),
            }
            for place in range(len(ids))
        ],
        "differences": differences(names, rewards),
        "data": [
            {
                "query": item.query,
                "answers": list(item.answers),
                "rewards": [_reward(verdict) for verdict in item.verdicts],
                "failures": list(item.failures),
            }
            for item in found
        ],
    }


def differences(names: Sequence[str], rewards: Sequence[Sequence[float | None]]) -> list[dict[str, Any]]:
    """Those of versions that share a scored query with the first; their intervals hold all at once."""
    shared = [
        place
        for place in range(1, len(rewards))
        if any(
            one is not None and other is not None
            for one, other in zip(rewards[0], rewards[place], strict=True)
        )
    ]
    if not shared:
        return []
    found = simultaneous_differences(rewards[0], [rewards[place] for place in shared])
    return [
        {
            "name": names[place],
            "against": names[0],
            "queries": item.pairs,
            "difference": item.mean,
            "low": item.low,
            "high": item.high,
        }
        for place, item in zip(shared, found, strict=True)
    ]


def _reward(verdict: dict[str, Any] | None) -> float | None:
    return None if verdict is None else verdict["reward"]


def _criteria(verdicts: Sequence[dict[str, Any] | None]) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for verdict in verdicts:
        for item in () if verdict is None else verdict["criteria"]:
            scores.setdefault(item["criterion"], []).append(item["score"])
    return {name: fmean(values) for name, values in sorted(scores.items())}


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def show_report(console: Console, told: dict[str, Any]) -> None:
    """A line a version, and what they differ by."""
    table = Table(title=f"{told['model']} on {told['queries']} queries", title_justify="left")
    names = [item["name"] for item in told["versions"]]
    for heading in ("", *names):
        table.add_column(plain(heading), overflow="fold")
    rows = {"reward": [item["reward"] for item in told["versions"]]}
    for criterion in sorted({name for item in told["versions"] for name in item["criteria"]}):
        rows[criterion] = [item["criteria"].get(criterion) for item in told["versions"]]
    for name, values in rows.items():
        table.add_row(plain(name), *(plain("-" if value is None else f"{value:.2f}") for value in values))
    table.add_row("scored", *(f"{item['scored']} of {told['queries']}" for item in told["versions"]))
    console.print(table)
    show_differences(console, told)


def show_differences(console: Console, told: dict[str, Any]) -> None:
    """A line for each comparison, then what was not measured, and why."""
    for item in told["differences"]:
        interval = "" if item["low"] is None else f" [{item['low']:+.2f}, {item['high']:+.2f}]"
        console.print(
            plain(
                f"{item['name']} against {item['against']} on {item['queries']} queries: "
                f"{item['difference']:+.2f}{interval}"
            )
        )
    failures = [text for item in told["data"] for text in item["failures"] if text]
    for text in dict.fromkeys(failures):
        console.print(plain(f"unscored ({failures.count(text)}): {text}", style="yellow"), soft_wrap=True)
