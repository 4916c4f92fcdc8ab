"""How soon the dashboard's pages can be used with 10,000 candidates and 1,000 versions, in a real Chromium.

``python -m benchmarks.dashboard_scale`` fills a fresh SQLite store (a minute or two), starts the service on
it and opens each page five times in a browser that has its scripts already; it prints a Markdown table:
seconds from the address to what is waited for, CPU seconds that service and browser took until then together
(which other programs do not change), bytes that the service has sent, and elements of the page.
Needs Debian's chromium. ``--quick`` is a tenth of everything, ``--pages`` names some pages alone.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from playwright.async_api import BrowserContext

from benchmarks.dashboard_fill import Extent, begin_large_job, end_job, store_sets, store_versions
from tests.browser.browser import chromium
from tests.browser.service import TARGET, Running, running_service

_QUICK: Final = Extent(candidates=1_000, rounds=25, versions=100, moves=250, sets=100)
_PATIENCE_MS: Final = 300_000
_DRAWN: Final = ":has(#candidates tbody tr):has(#tree-chart .main-svg):has(#chosen-prompt .text)"
_WHOLE: Final = f"{_DRAWN}:has(#heat td):has(#rollouts .rollout)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """A page that is measured.

    Attributes:
        path: of it.
        ready: the selector of what is there once it can be used.
    """

    name: str
    path: str
    ready: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One visit: seconds until the page could be used, CPU seconds, bytes received, elements."""

    seconds: float
    cpu: float
    received: int
    elements: int


def cpu_of_all() -> float:
    """CPU seconds of this process, the service in it, and of all that it has started: the browser."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = place.read_text(encoding="utf-8").rpartition(")")[2].split()
            pid = int(place.parent.name)
            parents[pid], ticks[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks.get(pid, 0) for pid in ours) / os.sysconf("SC_CLK_TCK")


async def visit(context: BrowserContext, url: str, page: Visit) -> Seen:
    """Open a page in a tab of its own."""
    tab = await context.new_page()
    sizes: Counter[str] = Counter()
    kept: set[str] = set()

    def note_kept(event: dict[str, Any]) -> None:
        if event["response"]["fromDiskCache"]:
            kept.add(event["requestId"])

    try:
        watching = await context.new_cdp_session(tab)
        await watching.send("Network.enable")
        watching.on(
            "Network.dataReceived", lambda event: sizes.update({event["requestId"]: event["dataLength"]})
        )
        watching.on("Network.requestServedFromCache", lambda event: kept.add(event["requestId"]))
        watching.on("Network.responseReceived", note_kept)
        began, used = time.perf_counter(), cpu_of_all()
        await tab.goto(url + page.path, wait_until="commit")
        await tab.wait_for_selector(page.ready, state="attached", timeout=_PATIENCE_MS)
        seconds, cpu = time.perf_counter() - began, cpu_of_all() - used
        elements = await tab.evaluate("document.querySelectorAll('*').length")
        received = sum(size for request, size in sizes.items() if request not in kept)
        return Seen(seconds=seconds, cpu=cpu, received=received, elements=int(elements))
    finally:
        await tab.close()


async def report(context: BrowserContext, url: str, pages: Sequence[Visit], times: int) -> None:
    """Print a line for each page; a first visit, which loads the scripts, does not count."""
    for page in pages:
        await visit(context, url, page)
        seen = [await visit(context, url, page) for _ in range(times)]
        seconds = [one.seconds for one in seen]
        print(
            f"| {page.name} | {statistics.median(seconds):.2f} | {max(seconds):.2f}"
            f" | {statistics.median(one.cpu for one in seen):.2f}"
            f" | {statistics.median(one.received for one in seen) / 1000:,.0f}"
            f" | {statistics.median(one.elements for one in seen):,.0f} |",
            flush=True,
        )


def job_pages(job: str, *, stream: str) -> list[Visit]:
    """The page of the large job: until it can be used, and until all of it is there, down to its end."""
    name = f"job, {'still running' if stream == 'live' else 'ended'}"
    path, page = f"/dashboard/jobs/{job}", f'#job[data-stream="{stream}"]'
    return [
        Visit(name=name, path=path, ready=page + _DRAWN),
        Visit(name=f"{name}, down to its end", path=path, ready=page + _WHOLE),
    ]


def other_pages(ids: Sequence[str]) -> list[Visit]:
    """All pages whose contents grow."""
    prompts = f"/dashboard/prompts/{quote(TARGET)}"
    oldest, newest = ids[0], ids[-1]
    row = "main table tbody tr"
    foot = f"body:has({row}) .foot"
    return [
        Visit(name="models", path="/dashboard/models", ready="main .card ~ .card, .foot"),
        Visit(name="jobs", path="/dashboard/jobs", ready=foot),
        Visit(name="new job", path="/dashboard/jobs/new", ready="#estimate dl"),
        Visit(name="prompts", path="/dashboard/prompts", ready=foot),
        Visit(name="versions", path=f"{prompts}/versions", ready=foot),
        Visit(name="versions, last page", path=f"{prompts}/versions?before=26", ready=foot),
        Visit(name="version", path=f"{prompts}/versions/{oldest}", ready=".foot"),
        Visit(
            name="diff", path=f"{prompts}/diff?before={oldest}&after={newest}", ready="body:has(del) .foot"
        ),
        Visit(
            name="playground",
            path=f"/dashboard/playground?model={quote(TARGET)}&b=version:{oldest}",
            ready="body:has(#side-1 option) .foot",
        ),
        Visit(name="data", path="/dashboard/data", ready=foot),
        Visit(name="audit log", path="/dashboard/audit-log", ready=foot),
    ]


async def fill(service: Running, extent: Extent) -> tuple[str, ...]:
    """Fill the store but for the job; gives the ids of the versions."""
    began = time.perf_counter()
    ids = await store_versions(service.resources, TARGET, extent)
    await store_sets(service.resources, extent)
    print(f"versions and sets stored in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return ids


async def measure(extent: Extent, times: int, wanted: Sequence[str]) -> None:
    """Fill a store, and measure all pages or those that are ``wanted``."""

    def chosen(pages: Sequence[Visit]) -> list[Visit]:
        return [page for page in pages if not wanted or page.name.partition(",")[0] in wanted]

    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{Path(folder) / 'scale.db'}"
        async with running_service(url, jobs={"max_running": 0}) as service, chromium() as browser:
            ids = await fill(service, extent)
            job = await service.queue(name="Ten thousand candidates", budget={"calls": 1_000_000})
            began = time.perf_counter()
            lease = await begin_large_job(service.resources, extent)
            print(f"job recorded in {time.perf_counter() - began:.0f} s", file=sys.stderr)
            context = await browser.new_context(viewport={"width": 1200, "height": 900})
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {extent}\n")
            print(
                "| page | s, median | s, worst | CPU s | kB received | elements |\n|---|---|---|---|---|---|"
            )
            await report(context, service.url, chosen(job_pages(job, stream="live")), times)
            await end_job(service.resources, lease)
            pages = [*job_pages(job, stream="ended"), *other_pages(ids)]
            await report(context, service.url, chosen(pages), times)


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--times", type=int, default=5, help="visits of each page")
    parser.add_argument("--pages", nargs="*", default=[], help="some pages alone, by name")
    options = parser.parse_args()
    asyncio.run(measure(_QUICK if options.quick else Extent(), options.times, options.pages))


if __name__ == "__main__":
    main()
