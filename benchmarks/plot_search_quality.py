"""Draw what ``search_quality --json`` wrote: captured gain over calls, one panel for each kind of world."""

import argparse
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.quality_summary import Group, captured, grouped
from benchmarks.search_quality import Record

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "search_quality.svg"
_COLUMNS = 2
_COLOURS = {
    "default": "#c1121f",
    "paper": "#1d3557",
    "gepa": "#2a9d8f",
    "random": "#8d99ae",
    "greedy": "#e09f3e",
}


def draw_panel(axes: Axes, group: Group) -> None:
    """One line for each search, with its 95 % interval."""
    budgets = sorted({run.calls for run in group.runs})
    for method in dict.fromkeys(run.method for run in group.runs):
        figures = [captured(group.of(method, calls)) for calls in budgets]
        colour = _COLOURS.get(method)
        axes.plot(budgets, [figure.value for figure in figures], "o-", color=colour, label=method, ms=4)
        intervals = [figure.interval for figure in figures]
        known = [interval for interval in intervals if interval is not None]
        if len(known) == len(budgets):
            low, high = zip(*known, strict=True)
            axes.fill_between(budgets, low, high, color=colour, alpha=0.12, lw=0)
    axes.set_xscale("log")
    axes.set_xticks(budgets, [f"{calls:,}" for calls in budgets])
    axes.minorticks_off()
    axes.set_xlabel("calls", fontsize=8)
    axes.set_title(f"{group.title} ({group.size})", fontsize=9)
    axes.axhline(0, color="black", lw=0.6)
    axes.grid(alpha=0.25)


def draw(record: Record, picture: Path) -> None:
    """Write the picture of ``record``; the same record gives the same file."""
    groups = grouped(record.runs)
    rows = -(-len(groups) // _COLUMNS)
    mpl.rcParams["svg.hashsalt"] = "drpo"
    mpl.rcParams["svg.fonttype"] = "none"
    canvas = Canvas(figsize=(9.5, 2.9 * rows + 0.6), layout="constrained")
    panels = canvas.subplots(rows, _COLUMNS, sharey=True, squeeze=False).ravel()
    for axes, group in zip(panels, groups, strict=False):
        draw_panel(axes, group)
    for axes in panels[len(groups) :]:
        axes.set_axis_off()
    canvas.suptitle("Simulated models: share of the reachable gain that a search captures", fontsize=11)
    canvas.supylabel("captured gain, mean and 95 % interval over worlds", fontsize=9)
    handles, labels = canvas.axes[0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    picture.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(picture, metadata={"Date": None})


def main() -> None:
    """Read the record, write the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot_search_quality", description=__doc__)
    parser.add_argument("record", type=Path, help="what search_quality wrote with --json")
    parser.add_argument("--out", type=Path, default=PICTURE, metavar="FILE", help="default: %(default)s")
    options = parser.parse_args()
    draw(Record.model_validate_json(options.record.read_text(encoding="utf-8")), options.out)


if __name__ == "__main__":
    main()
