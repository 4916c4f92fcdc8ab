from pathlib import Path

import pytest

from benchmarks.plot_search_quality import draw
from benchmarks.quality_report import report
from benchmarks.quality_runs import KINDS, USUAL, Case, Plan, Run, Size, cases, measure
from benchmarks.quality_summary import captured, captured_ratio, grouped
from benchmarks.search_quality import Record, in_order

PLAN = Plan(methods=("default", "paper"), calls=(150, 280))


def run(method: str, world: int, after: float, **other: object) -> Run:
    values = {
        "case": Case(kind=USUAL, world=world, seed=0),
        "start": "plain",
        "method": method,
        "calls": 150,
        "spent": 149,
        "before": 3.0,
        "after": after,
        "reachable": 4.0,
    }
    return Run.model_validate(values | other)


def many_runs() -> list[Run]:
    return [
        run(
            method,
            world,
            3.0 + gain + 0.01 * world,
            calls=calls,
            start=start,
            case=Case(kind=kind, world=world, seed=0),
        )
        for kind in (USUAL, "noisy")
        for world in range(4)
        for start in PLAN.starts
        for method, gain in (("default", 0.6), ("paper", 0.3))
        for calls in PLAN.calls
    ]


def test_captured_gain_is_the_share_of_what_the_oracle_reaches() -> None:
    assert run("paper", 0, after=3.25).captured == pytest.approx(0.25)
    assert run("paper", 0, after=2.5).captured == pytest.approx(-0.5)
    assert run("paper", 0, after=2.5).is_worse
    assert not run("paper", 0, after=3.0).is_worse


def test_the_interval_is_over_worlds_and_not_over_runs() -> None:
    apart = [run("paper", world, after) for world, after in enumerate((3.0, 3.2, 3.4, 3.6))]
    once = captured(apart)
    assert once.value == pytest.approx(0.3)
    assert once.interval is not None
    assert once.interval[0] < 0.3 < once.interval[1]
    assert captured(apart * 5).interval == pytest.approx(once.interval)


def test_one_world_has_no_interval() -> None:
    assert captured([run("paper", 0, after=3.5)]).interval is None
    assert str(captured([run("paper", 0, after=3.5)])) == "0.50"


def test_a_ratio_compares_worlds_in_pairs() -> None:
    left = [run("default", world, 3.0 + 0.2 * (world + 1)) for world in range(4)]
    right = [run("paper", world, 3.0 + 0.1 * (world + 1)) for world in range(4)]
    ratio = captured_ratio(left, right)
    assert ratio.value == pytest.approx(2.0)
    assert ratio.interval == pytest.approx((2.0, 2.0))


def test_held_out_kinds_of_worlds_are_reported_apart() -> None:
    titles = [group.title for group in grouped(many_runs())]
    assert titles == [
        "usual worlds",
        "usual worlds, plain first prompt",
        "usual worlds, own first prompt",
        "held-out worlds: noisy",
    ]


def test_the_report_says_that_models_are_simulated_and_compares_the_default_with_the_others() -> None:
    text = report(many_runs())
    assert "on simulated models, usual worlds (4 worlds x 1 seed)" in text
    assert "| `default` | 0.61 (0.60 to 0.62), 0% worse | 0.61 (0.60 to 0.62), 0% worse |" in text
    assert "| `paper` | 1.95" in text
    assert "| `paper` | 149 | 149 |" in text


def test_the_order_of_runs_does_not_depend_on_which_case_ended_first() -> None:
    runs = many_runs()
    assert in_order(runs[::-1], PLAN) == in_order(runs, PLAN)


def test_each_kind_of_world_differs_from_the_usual_one() -> None:
    assert len(KINDS) == len(set(KINDS.values())) == 7
    chosen = list(cases(("usual", "noisy"), Size(worlds=3, seeds=3), Size(worlds=2, seeds=1)))
    assert sum(case.kind == "usual" for case in chosen) == 9
    assert sum(case.kind == "noisy" for case in chosen) == 2
    assert {case.world for case in chosen} == {500, 501, 502}
    assert {case.place.target for case in chosen} == {"simulated-small", "simulated-chat"}


@pytest.mark.slow
def test_a_case_is_measured_written_and_drawn(tmp_path: Path) -> None:
    plan = Plan(methods=("random", "gepa"), calls=(30, 60), starts=("plain",))
    runs = measure(Case(kind="length-judge", world=12, seed=0), plan)
    assert [(found.method, found.calls) for found in runs] == [
        ("random", 30),
        ("random", 60),
        ("gepa", 30),
        ("gepa", 60),
    ]
    assert all(found.spent <= found.calls for found in runs)
    assert all(found.before < found.reachable and found.after <= found.reachable + 0.2 for found in runs)
    record = Record.model_validate_json(Record(runs=tuple(runs)).model_dump_json())
    draw(record, tmp_path / "once.svg")
    draw(record, tmp_path / "again.svg")
    assert "Simulated models" in (tmp_path / "once.svg").read_text()
    assert (tmp_path / "once.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
