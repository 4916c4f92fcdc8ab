"""The tables of ``search_quality``, as Markdown."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import fmean

from benchmarks.quality_runs import Run
from benchmarks.quality_summary import Group, captured, captured_ratio, grouped, worse_share

_FOREMOST = "default"


def report(runs: Sequence[Run]) -> str:
    """Every figure: captured gain with its interval, the share of runs that end worse, and calls made."""
    lines = [line for group in grouped(runs) for line in _section(group)]
    return "\n".join([*lines, *_spent(runs)])


def _section(group: Group) -> Iterator[str]:
    methods = list(dict.fromkeys(run.method for run in group.runs))
    budgets = list(dict.fromkeys(run.calls for run in group.runs))

    def gain(method: str, calls: int) -> str:
        runs = group.of(method, calls)
        return f"{captured(runs)}, {worse_share(runs):.0%} worse"

    def ratio(method: str, calls: int) -> str:
        return str(captured_ratio(group.of(_FOREMOST, calls), group.of(method, calls)))

    yield f"\nCaptured gain on simulated models, {group.title} ({group.size})\n"
    yield from _table(methods, budgets, gain)
    others = [method for method in methods if method != _FOREMOST]
    if 0 < len(others) < len(methods):
        yield f"\nCaptured gain of `{_FOREMOST}` as a multiple of another's\n"
        yield from _table(others, budgets, ratio)


def _spent(runs: Sequence[Run]) -> Iterator[str]:
    together = Group(title="all", runs=tuple(runs))
    budgets = list(dict.fromkeys(run.calls for run in runs))

    def spent(method: str, calls: int) -> str:
        return f"{fmean(run.spent for run in together.of(method, calls)):.0f}"

    yield "\nCalls made, mean\n"
    yield from _table(dict.fromkeys(run.method for run in runs), budgets, spent)


def _table(methods: Iterable[str], budgets: Sequence[int], cell: Callable[[str, int], str]) -> Iterator[str]:
    yield "| search | " + " | ".join(f"{calls:,} calls" for calls in budgets) + " |"
    yield "|---" * (len(budgets) + 1) + "|"
    for method in methods:
        yield f"| `{method}` | " + " | ".join(cell(method, calls) for calls in budgets) + " |"
