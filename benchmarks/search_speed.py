"""How close preset ``paper`` comes to its floor: calls, waves and wall time on a simulated provider.

The whole service runs (API, job, ledger, store) against a simulated provider in another process, over real
HTTP, 50 ms a call. Each job is rehearsed on another store, so that the provider has its replies ready, and a
tiny job on the same store precedes it. A wave is one link of the longest chain of calls none of which overlap
in time, taken from the provider's own clock; the floor is waves x 50 ms. Dependent waves are what the
algorithm needs: two for the seed prompt and three a round. Serial is calls x 50 ms: one call after another.
"""

import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from app.commands.api_client import ApiClient, api_client
from app.event_loop import run
from app.llm.capabilities import Capabilities
from app.server import embedded_service
from app.settings import Settings
from benchmarks.provider_process import provider

LATENCY_MS = 50.0
RUNS = 3
_LOOK_SECONDS = 5.0
"""Looking costs the service time, which would be measured."""
NO_SKIP: dict[str, Any] = {"skip_threshold": 5, "max_depth_increase": 0}
_CAPABILITIES = Capabilities(logprobs=False, top_logprobs=0).to_json()


def settings_for(provider_url: str, folder: str) -> Settings:
    """The service with the provider as its only backend; nothing is probed, so every call is the search's."""
    critic = {"backend": "provider", "model": "simulated-critic"}
    return Settings.model_validate(
        {
            "database": {"url": f"sqlite+aiosqlite:///{Path(folder) / 'speed.db'}"},
            "backends": {"provider": {"base_url": f"{provider_url}/v1", "capabilities": _CAPABILITIES}},
            "targets": {"simulated-small": {"backend": "provider", "model": "simulated-small"}},
            "roles": {"proposer": critic, "selector": critic, "judge": critic},
        }
    )


def longest_chain(timings: list[list[float]]) -> int:
    """The most calls of which each began after the one before it had ended."""
    waves, free_at = 0, float("-inf")
    for began, ended in sorted(timings, key=lambda pair: pair[1]):
        if began >= free_at:
            waves, free_at = waves + 1, ended
    return waves


async def run_search(client: ApiClient, settings: dict[str, Any], **job: Any) -> tuple[float, int]:
    """Run one job without a gate; gives its seconds from the first claim to the end, and its rounds."""
    request = {"target": "simulated-small", "preset": "paper", "held_out": 0, "label": None, **job}
    found = await client.post("/v1/optimizations", {**request, "settings": settings})
    while found["status"] not in {"succeeded", "failed", "cancelled"}:
        await asyncio.sleep(_LOOK_SECONDS)
        found = await client.get(f"/v1/optimizations/{found['id']}")
    if found["status"] != "succeeded":
        raise RuntimeError(f"the job {found['status']}: {found['error']}")
    return float(found["finished_at"] - found["started_at"]), int(found["result"]["rounds"])


async def read_timings(provider_url: str) -> list[list[float]]:
    """When each call so far began and ended."""
    async with httpx.AsyncClient(trust_env=False) as http:
        timings: list[list[float]] = (await http.get(f"{provider_url}/timings")).json()
        return timings


async def run_on_fresh_store(provider_url: str, settings: dict[str, Any]) -> tuple[float, int, int]:
    """Seconds and rounds of one job, and how many calls the provider had had before it."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            embedded_service(settings_for(provider_url, folder)) as base_url,
            api_client(base_url, None) as client,
        ):
            await run_search(client, {"depth": 2}, queries=["How warm is it?", "Is it warm now?"])
            before = len(await read_timings(provider_url))
            wall, rounds = await run_search(client, settings)
    return wall, rounds, before


async def measure(settings: dict[str, Any]) -> dict[str, float]:
    """One job, rehearsed, with a provider of its own."""
    async with provider(LATENCY_MS) as provider_url:
        await run_on_fresh_store(provider_url, settings)
        wall, rounds, before = await run_on_fresh_store(provider_url, settings)
        timings = (await read_timings(provider_url))[before:]
    waves = longest_chain(timings)
    floor = waves * LATENCY_MS / 1000
    return {
        "calls": len(timings),
        "waves": waves,
        "dependent_waves": 2 + 3 * rounds,
        "wall_s": wall,
        "wall_over_floor": wall / floor,
        "serial_over_wall": len(timings) * LATENCY_MS / 1000 / wall,
    }


async def main() -> None:
    """Print the median of each figure, without skips and with the official skip rule."""
    report = {}
    for name, settings in (("no skip", NO_SKIP), ("official skip rule", {})):
        runs = [await measure({**settings, "seed": seed}) for seed in range(RUNS)]
        report[name] = {
            figure: round(statistics.median(run[figure] for run in runs), 3) for figure in runs[0]
        }
        print(f"preset paper, {name}, simulated provider at {LATENCY_MS:.0f} ms, median of {RUNS} runs")
        for figure, value in report[name].items():
            print(f"  {figure:18} {value:g}")
    if "--json" in sys.argv:
        print(json.dumps(report))


if __name__ == "__main__":
    run(main())
