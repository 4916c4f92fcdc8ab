"""``drpo demo``: the whole path over HTTP, on simulated models in less than a minute, or on vLLM."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI, omit
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from app.chat.headers import UNALIGNED, VERSION_HEADER
from app.commands.api_client import ApiClient, api_client, open_sdk
from app.commands.demo_models import DemoModels, models_on_vllm, simulated_models
from app.commands.evidence import describe_evidence
from app.commands.optimize import optimize
from app.commands.progress import JobJson, describe_verdict, print_result
from app.commands.terminal import plain
from app.vllm_settings import VllmSettings
from optimizer.concurrency import run_together

QUESTION = "Can you check what the euro is worth in dollars right now, and book me a table for two tonight?"
_SEED = 7
_HELD_OUT = 30
_CALLS = 600
"""Search and comparison together: enough for a clear gain, and well under a minute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    text: str
    version: str


async def run_demo(console: Console, vllm: VllmSettings | None = None) -> str:
    """Run it on a store that is deleted afterwards.

    Args:
        console: where it is shown.
        vllm: a server to start, whose model becomes the target; by default all models are simulated.

    Returns:
        How its job ended: ``succeeded``, ``failed`` or ``cancelled``.

    Raises:
        InvalidInputError: vLLM cannot be started.
    """
    from app.server import embedded_service  # noqa: PLC0415 - as in ``commands.connection``
    from app.vllm.opening import open_vllm  # noqa: PLC0415 - the same

    def tell(progress: str) -> None:
        console.print(plain(progress, style="dim"), soft_wrap=True)

    with tempfile.TemporaryDirectory(prefix="drpo-demo-") as name:
        folder = Path(name)
        models = simulated_models(folder) if vllm is None else models_on_vllm(folder, vllm)
        async with (
            open_vllm(models.settings, tell) as (placed, _),
            embedded_service(placed) as base_url,
        ):
            _introduce(console, base_url, models)
            async with api_client(base_url, None) as client:
                request = {
                    "target": models.target,
                    "preset": "default",
                    "budget": {"calls": _CALLS},
                    "settings": {"seed": _SEED, **models.search},
                    "name": "demo",
                    "held_out": _HELD_OUT,
                }
                job = await optimize(client, request, console)
                if job["status"] != "succeeded":
                    print_result(console, job)
                    return str(job["status"])
                console.print()
                await _show_gain(client, job, console, models)
            await _ask_both(base_url, console, models)
    return "succeeded"


def _introduce(console: Console, base_url: str, models: DemoModels) -> None:
    console.print(plain(f"drpo runs at {base_url} until this demo ends. {models.introduction}\n"))
    _heading(
        console,
        f"1. Search a better system prompt for {models.target}",
        "The target answers queries, a judge scores the answers on the criteria that matter for each query, "
        "and a proposer rewrites the prompt from the scores and their reasons. The default search races the "
        f"prompts against each other, within a budget of {_CALLS} calls.",
    )


async def _show_gain(client: ApiClient, job: JobJson, console: Console, models: DemoModels) -> None:
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
    console.print(plain(f"{models.describe_calls(job)} {_describe_version(result)}\n"))


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


async def _ask_both(base_url: str, console: Console, models: DemoModels) -> None:
    async with open_sdk(base_url, None) as client:
        unaligned, aligned = await run_together(
            [_ask(client, models, align=align) for align in (False, True)]
        )
    _heading(
        console,
        "3. Ask one question through the openai SDK",
        f"The request names the model {models.target} and nothing else; the service puts the prompt in "
        f"front. {models.answers}",
    )
    served = "served as it is" if aligned.version == UNALIGNED else f"prompt version {aligned.version}"
    console.print(_panel("question", QUESTION))
    console.print(_panel(f"{models.answer}, alignment switched off", unaligned.text))
    console.print(_panel(f"{models.answer}, {served}", aligned.text))
    console.print()


async def _ask(client: AsyncOpenAI, models: DemoModels, *, align: bool) -> _Answer:
    raw = await client.chat.completions.with_raw_response.create(
        model=models.target,
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=omit if models.longest_answer is None else models.longest_answer,
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
