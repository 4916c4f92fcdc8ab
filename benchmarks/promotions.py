"""How often the gate promotes what is no better, and what is truly better by 0.3, on simulated models.

Without a gain: whole jobs (service, store, search with preset ``default``, gate, label), where no prompt can
be better than the current one: in worlds whose target is deaf to prompts, and from the best prompt that a
greedy search with the oracle finds. A promotion of what is not truly better is false.

With a gain: two prompts whose true qualities differ by 0.3 points (the oracle's mean over the 223 built-in
queries; no loss of safety) meet in the gate of a job on 16 queries; where that decides nothing, once more on
as many new ones as it asked for. Once the built-in queries are used up, the same in other words follow.
Worlds without such prompts are left out.

Worlds from 1000 on serve this report alone. Intervals are Clopper and Pearson's, 95 %.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from statistics import median

from scipy.stats import beta

from benchmarks.promotion_cases import KINDS, Case, Kind, Outcome, cases, measure

FIRST_WORLD = 1000
WORLDS: dict[Kind, int] = {
    "deaf": 100,
    "deaf, several finalists": 100,
    "best prompt": 40,
    "gain": 100,
    "gain, several finalists": 100,
}
_TAIL = 0.025


def measure_all(todo: Sequence[Case], processes: int) -> Iterator[Outcome | None]:
    """The outcome of each case, in the order in which cases end."""
    started = time.monotonic()
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        ending = as_completed([pool.submit(measure, case) for case in todo])
        for ended, future in enumerate(ending, start=1):
            yield future.result()
            if ended % 20 == 0 or ended == len(todo):
                seconds = time.monotonic() - started
                print(f"{ended} of {len(todo)} cases, {seconds:.0f} s", file=sys.stderr, flush=True)


def interval(hits: int, total: int) -> tuple[float, float]:
    """Where a share lies of which ``hits`` in ``total`` were seen (Clopper and Pearson), with 95 %."""
    low = float(beta.ppf(_TAIL, hits, total - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - _TAIL, hits + 1, total - hits)) if hits < total else 1.0
    return low, high


def report(outcomes: Sequence[Outcome]) -> str:
    """The table, a line for each kind and one for each target."""
    lines = [
        "promotions on simulated models",
        "",
        "| case | worlds | promoted | share | 95 % interval | queries asked for, median |",
        "|---|---|---|---|---|---|",
    ]
    for kind, title in KINDS.items():
        found = [outcome for outcome in outcomes if outcome.case.kind == kind]
        if found:
            lines.append(_line(title, found))
    without = [item for item in outcomes if not item.case.kind.startswith("gain")]
    with_gain = [item for item in outcomes if item.case.kind.startswith("gain")]
    if without:
        lines.append(_line("all without a gain: at most 5 %", without))
    if with_gain:
        lines.append(_line("all with a gain: at least 90 %", with_gain))
    return "\n".join(lines)


def _line(title: str, found: Sequence[Outcome]) -> str:
    """Promotions: false ones alone where nothing can be gained."""
    wanted = found[0].case.kind.startswith("gain")
    hits, total = sum(item.promoted and item.is_better == wanted for item in found), len(found)
    low, high = interval(hits, total)
    asked = [item.asked for item in found if item.asked is not None]
    needed = f"{median(asked):.0f} ({len(asked)} cases)" if asked else "-"
    return f"| {title} | {total} | {hits} | {hits / total:.1%} | {low:.1%} to {high:.1%} | {needed} |"


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.promotions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--kinds", nargs="+", choices=KINDS, default=tuple(KINDS), help="default: all")
    add("--worlds", type=int, metavar="N", help="of each kind at most (default: 40 or 100)")
    add("--first-world", type=int, default=FIRST_WORLD, metavar="SEED", help="default: %(default)s")
    add("--processes", type=int, default=2, metavar="N", help="default: %(default)s")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the table."""
    options = read_options()
    worlds = {kind: WORLDS[kind] for kind in KINDS if kind in options.kinds}
    if options.worlds is not None:
        worlds = {kind: min(count, options.worlds) for kind, count in worlds.items()}
    todo = list(cases(worlds, options.first_world))
    outcomes = [outcome for outcome in measure_all(todo, options.processes) if outcome is not None]
    print(report(outcomes))


if __name__ == "__main__":
    main()
