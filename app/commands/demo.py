"""``drpo demo``: the whole path on the simulated backend, over HTTP, in less than a minute."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from app.chat.headers import UNALIGNED, VERSION_HEADER
from app.commands.api_client import ApiClient, api_client, open_sdk
from app.commands.evidence import describe_evidence
from app.commands.optimize import optimize
from app.commands.progress import JobJson, describe_verdict, print_result
from app.commands.terminal import plain
from app.settings import Settings
from optimizer.concurrency import run_together

TARGET = "simulated-small"
QUESTION = "Can you check what the euro is worth in dollars right now, and book me a table for two tonight?"
_SEED = 7
_HELD_OUT = 30
_CALLS = 600
"""Search and comparison together: enough for a clear gain, and well under a minute."""
_LATENCY_MS = 25.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    text: str
    version: str


def demo_settings(folder: Path) -> Settings:
    """The simulated world with a little latency, on a store in ``folder``."""
    return Settings.model_validate(
        {
            "database": {"url": f"sqlite+aiosqlite:///{folder / 'demo.db'}"},
            "backends": {
                "simulated": {
                    "kind": "simulated",
                    "simulated": {"latency_ms": _LATENCY_MS, "latency_jitter": 0.3},
                }
            },
        }
    )


async def run_demo(console: Console) -> str:
    """Run it on a store that is deleted afterwards.

    Returns:
        How its job ended: ``succeeded``, ``failed`` or ``cancelled``.
    """
    from app.server import embedded_service  # noqa: PLC0415 - as in ``commands.connection``

    with tempfile.TemporaryDirectory(prefix="drpo-demo-") as folder:
        async with embedded_service(demo_settings(Path(folder))) as base_url:
            _introduce(console, base_url)
            async with api_client(base_url, None) as client:
                request = {
                    "target": TARGET,
                    "preset": "default",
                    "budget": {"calls": _CALLS},
                    "settings": {"seed": _SEED},
                    "name": "demo",
                    "held_out": _HELD_OUT,
                }
                job = await optimize(client, request, console)
                if job["status"] != "succeeded":
                    print_result(console, job)
                    return str(job["status"])
                console.print()
                await _show_gain(client, job, console)
            await _ask_both(base_url, console)
    return "succeeded"


def _introduce(console: Console, base_url: str) -> None:
    console.print(
        plain(
            f"drpo runs at {base_url} until this demo ends. Everything below is real except the models: they "
            "are simulated, so no key, no GPU and no network is needed.\n"
        )
    )
    _heading(
        console,
        f"1. Search a better system prompt for {TARGET}",
        "The target answers queries, a judge scores the answers on the criteria that matter for each query, "
        "and a proposer rewrites the prompt from the scores and their reasons. The default search races the "
        f"prompts against each other, within a budget of {_CALLS} calls.",
    )


async def _show_gain(client: ApiClient, job: JobJson, console: Console) -> None:
    tree = (await client.get(f"/v1/optimizations/{job['id']}/candidates"))["data"]
    result = job["result"]
    by_id = {candidate["id"]: candidate for candidate in tree}
    before, after = by_id["c0"], by_id[result["gate"]["candidate_id"] or result["best_candidate_id"]]
    _heading(
        console,
        "2. Compare the prompts",
        "Both were run on queries that the search had never seen; a new prompt is served only if it is "
        "clearly better there.",
    )
    console.print(_panel("system prompt before", before["system_prompt"]))
    console.print(_panel("system prompt after", after["system_prompt"]))
    console.print(_criteria_table(before, after, result["gate"]))
    console.print(
        plain("Criteria that few queries call for are noisy; the verdict rests on the reward.", style="dim")
    )
    interval = "" if result["gate"]["low"] is None else " (95 % interval)"
    console.print(plain(f"\nVerdict: {describe_verdict(result['gate'])}{interval}", style="bold"))
    for line in describe_evidence(result["gate"], result["judge"]):
        console.print(plain(line, style="dim"))
    console.print(
        plain(
            f"It took {job['usage']['calls']} calls to simulated models and {job['elapsed_seconds']:.1f} "
            f"seconds. {_describe_version(result)}\n"
        )
    )


def _describe_version(result: JobJson) -> str:
    if result["prompt_version"] is None:
        return f"No version was stored: {result['label_note']}."
    label = f", labelled {result['label_moved']}" if result["label_moved"] else ""
    return f"Stored as {result['prompt_version']}{label}."


def _criteria_table(before: JobJson, after: JobJson, gate: JobJson) -> Table:
    """Means of both prompts for each criterion, those that mattered most often first."""
    table = Table(
        title=f"scores of 1 to 5 by the simulated judge, on {gate['queries']} held-out queries",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("criterion")
    for heading in ("before", "after", "change", "queries"):
        table.add_column(heading, justify="right")
    old = {item["criterion"]: item["mean"] for item in before["held_out_criteria"]}
    shared = [item for item in after["held_out_criteria"] if item["criterion"] in old]
    for item in sorted(shared, key=lambda item: -item["evaluations"]):
        means = (old[item["criterion"]], item["mean"])
        _add_row(table, item["criterion"], means, item["evaluations"])
    if gate["difference"] is not None:
        table.add_section()
        rewards = (gate["baseline_reward"], gate["candidate_reward"])
        _add_row(table, "reward (mean of a query's criteria)", rewards, gate["queries"], style="bold")
    return table


def _add_row(table: Table, name: str, means: tuple[float, float], count: int, style: str = "") -> None:
    before, after = means
    cells = (name, f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}", str(count))
    table.add_row(*(plain(cell) for cell in cells), style=style)


async def _ask_both(base_url: str, console: Console) -> None:
    async with open_sdk(base_url, None) as client:
        unaligned, aligned = await run_together([_ask(client, align=False), _ask(client, align=True)])
    _heading(
        console,
        "3. Ask one question through the openai SDK",
        f"The request names the model {TARGET} and nothing else; the service puts the prompt in front. The "
        "simulated answers are filler in which the simulated judge finds strengths and weaknesses: read the "
        "numbers above, not the prose.",
    )
    served = "served as it is" if aligned.version == UNALIGNED else f"prompt version {aligned.version}"
    console.print(_panel("question", QUESTION))
    console.print(_panel("simulated answer, alignment switched off", unaligned.text))
    console.print(_panel(f"simulated answer, {served}", aligned.text))
    console.print()


async def _ask(client: AsyncOpenAI, *, align: bool) -> _Answer:
    raw = await client.chat.completions.with_raw_response.create(
        model=TARGET,
        messages=[{"role": "user", "content": QUESTION}],
        extra_body={"drpo": {"align": align}},
    )
    answer: Any = raw.parse()
    text = answer.choices[0].message.content or ""
    return _Answer(text=text, version=raw.headers.get(VERSION_HEADER, UNALIGNED))


def _heading(console: Console, title: str, explanation: str) -> None:
    console.print(plain(title, style="bold"))
    console.print(plain(f"{explanation}\n", style="dim"))


def _panel(title: str, text: str) -> Panel:
    return Panel(plain(text), title=plain(title), title_align="left")
