"""Versions on the command line: import, export, diff, promote, rollback, eval and likelihood."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.commands.evaluation import Evaluated, report, show_report
from app.commands.versions import show_diff
from tests.app.command_line import Outcome, drpo
from tests.app.commands.screen import new_console, text_of

Run = Callable[..., Outcome]
MODEL = "simulated-small"
FIRST = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Because."},
]
SECOND = {"messages": [{"role": "system", "content": "Be brief."}], "temperature": 0.5}


@pytest.fixture
def run(tmp_path: Path, sqlite_url: str, restored_logging: None) -> Run:
    config = tmp_path / "drpo.toml"
    config.write_text(f'[database]\nurl = "{sqlite_url}"\n[server]\nport = 0\n')

    def command(*arguments: str) -> Outcome:
        return drpo(*arguments, "--config", str(config))

    return command


@pytest.fixture
def two(run: Run, tmp_path: Path) -> list[str]:
    """Two versions of the model."""
    found = []
    for number, content in enumerate((FIRST, SECOND)):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(content))
        found.append(told(run("import", MODEL, str(file), "--format", "openai", "--json"))["id"])
    return found


def told(outcome: Outcome) -> Any:
    """The one JSON document on stdout."""
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_versions_are_compared_promoted_and_rolled_back(run: Run, two: list[str]) -> None:
    first, second = two
    compared = run("diff", MODEL, "1", second)
    assert "- Be kind." in compared.out
    assert "+ Be brief." in compared.out
    assert "examples: 0 added, 1 removed" in compared.out
    assert told(run("diff", MODEL, "1", "2", "--json"))["to"]["id"] == second
    assert "is the same version" in run("diff", MODEL, "1", first).out

    assert f"production of {MODEL} points to {first}" in run("promote", MODEL, "1").out
    moved = told(run("promote", MODEL, second, "--reason", "shorter", "--json"))
    assert moved["version"] == second
    assert f"points to {first} again" in run("rollback", MODEL).out
    again = run("rollback", MODEL)
    assert (again.code, again.out, "name it to undo it" in again.err) == (1, "", True)
    assert "nothing: the model is served as it is" in told_of_label(run, first)
    missing = run("promote", MODEL, "9")
    assert (missing.code, "has no prompt version 9" in missing.err) == (1, True)


def told_of_label(run: Run, version: str) -> str:
    run("promote", MODEL, version, "--label", "candidate")
    return run("rollback", MODEL, "--label", "candidate", "--reason", "no").out


def test_a_version_goes_out_and_comes_in_again(run: Run, two: list[str], tmp_path: Path) -> None:
    first = two[0]
    file = tmp_path / "bundle.json"
    assert f"{first} is in" in run("export", MODEL, first, "--output", str(file)).out
    assert told(run("import", MODEL, str(file), "--json"))["id"] == first
    assert json.loads(run("export", MODEL, "1", "--format", "openai").out) == {"messages": FIRST}
    exported = told(run("export", MODEL, "1", "--format", "dspy", "--json"))
    assert exported["content"]["demos"] == [{"query": "Why?", "answer": "Because."}]

    folder = tmp_path / "foo"
    run("export", MODEL, "1", "--format", "promptfoo", "--output", str(folder))
    config = folder / "promptfooconfig.json"
    back = told(run("import", MODEL, str(config), "--format", "promptfoo", "--note", "from foo", "--json"))
    assert back["id"] == first
    assert "is version" in run("import", MODEL, str(config), "--format", "promptfoo").out

    away = folder / "away.yaml"
    away.write_text("prompts: [file://../bundle.json]\n")
    refused = run("import", MODEL, str(away), "--format", "promptfoo")
    assert (refused.code, "no file beside it" in refused.err) == (1, True)
    file.write_text("{")
    broken = run("import", MODEL, str(file))
    assert (broken.code, "cannot be read" in broken.err) == (1, True)
    nowhere = run("export", MODEL, "1", "--output", str(tmp_path / "no" / "where.json"))
    assert (nowhere.code, "cannot be written" in nowhere.err) == (1, True)


def test_what_an_import_leaves_out_is_said(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "asked.json"
    file.write_text(json.dumps([*FIRST, {"role": "user", "content": "Who?"}]))
    assert "left out: the last user message" in run("import", MODEL, str(file), "--format", "openai").out


def test_versions_are_evaluated_on_queries_in_pairs(run: Run, two: list[str], tmp_path: Path) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('"How do I boil an egg?"\n{"text": "Why is the sea blue?"}\n')
    versions = ("--version", "none", "--version", two[0])
    found = told(run("eval", MODEL, "--queries", str(queries), *versions, "--json"))
    assert [(item["name"], item["version"], item["scored"]) for item in found["versions"]] == [
        ("none", None, 2),
        (two[0], two[0], 2),
    ]
    assert all(1 <= item["reward"] <= 5 for item in found["versions"])
    (difference,) = found["differences"]
    assert (difference["against"], difference["queries"]) == ("none", 2)
    assert difference["low"] <= difference["difference"] <= difference["high"]
    assert [len(item["answers"]) for item in found["data"]] == [2, 2]
    unknown = run("eval", MODEL, "--queries", str(queries), "--version", "9")
    assert (unknown.code, "has no prompt version 9" in unknown.err) == (1, True)
    nobody = run("eval", MODEL, "--queries", str(queries), "--version", "1", "--judge", "nobody")
    assert (nobody.code, "no answer was scored" in nobody.err) == (1, True)
    assert "there is no judge" in nobody.out


def test_the_likelihood_of_references_is_compared_in_pairs(run: Run, two: list[str], tmp_path: Path) -> None:
    file = tmp_path / "references.jsonl"
    pairs = [{"query": f"How do I boil {what}?", "answer": "Start small, be patient."} for what in "abc"]
    file.write_text("\n".join(json.dumps(pair) for pair in pairs))
    versions = ("--version", "none", "--version", two[0])
    found = told(run("likelihood", MODEL, "--references", str(file), *versions, "--json"))
    assert [(item["name"], item["version"], item["measured"]) for item in found["versions"]] == [
        ("none", None, 3),
        (two[0], two[0], 3),
    ]
    assert all(item["mean_logprob"] < 0 for item in found["versions"])
    (difference,) = found["differences"]
    assert (difference["against"], difference["queries"]) == ("none", 3)
    shown = run("likelihood", MODEL, "--references", str(file), *versions).out
    assert "reference answers" in shown
    assert "against none on 3 queries" in shown


def test_references_that_cannot_be_measured_are_named(run: Run, two: list[str], tmp_path: Path) -> None:
    file = tmp_path / "references.jsonl"
    file.write_text('{"query": "Why?", "answer": " "}')
    blank = run("likelihood", MODEL, "--references", str(file), "--version", "none")
    assert (blank.code, "no answer was measured" in blank.err) == (1, True)
    assert "unscored (1)" in blank.out
    file.write_text('{"query": "Why?"}')
    missing = run("likelihood", MODEL, "--references", str(file))
    assert (missing.code, "reference 1" in missing.err) == (1, True)
    many = run("likelihood", MODEL, "--references", str(file), *["--version", "1"] * 9)
    assert (many.code, "8 versions at most" in many.err) == (2, True)


def test_a_report_counts_pairs_and_says_what_is_unscored() -> None:
    good = {"reward": 4.0, "criteria": [{"criterion": "Clarity", "score": 4.0}]}
    bad: dict[str, Any] = {"reward": None, "criteria": []}
    found = [
        Evaluated(query="a", answers=("x", "y"), verdicts=(good, bad), failures=("", "no [red]reply")),
        Evaluated(query="b", answers=(None, "y"), verdicts=(None, good), failures=("away", "")),
    ]
    told_ = report(MODEL, ["1", "2"], ["pv_1", "pv_2"], found)
    assert [item["scored"] for item in told_["versions"]] == [1, 1]
    assert told_["differences"] == []
    console = new_console()
    show_report(console, told_)
    assert "unscored (1): no [red]reply" in text_of(console)
    assert "1 of 2" in text_of(console)


def test_a_diff_obeys_nothing_that_it_shows() -> None:
    console = new_console()
    place = {"id": "pv_1", "number": 1}
    lines = [{"change": "added", "before": None, "after": 1, "text": "[red]\x1b[2Jx"}]
    examples = {
        "added": [{"query": "[b]q", "answer": "a"}],
        "removed": [],
        "changed": [{"query": "q", "before": "a", "after": "b"}],
        "unchanged": 0,
    }
    settings = [{"name": "k", "before": 1, "after": 2}]
    show_diff(
        console,
        {
            "same": False,
            "from": place,
            "to": place,
            "lines": lines,
            "examples": examples,
            "settings": settings,
        },
    )
    shown = text_of(console)
    assert "+ [red]\\x1b[2Jx" in shown
    assert "[b]q => a" in shown
    assert "q: a => b" in shown
