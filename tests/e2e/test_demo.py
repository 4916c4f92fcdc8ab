"""The demo as a newcomer runs it."""

import asyncio
import os
from pathlib import Path

import pytest

from app.commands.demo import QUESTION
from app.commands.demo_models import simulated_models
from app.commands.next_steps import CONFIGURATION
from tests.e2e.command import run

pytestmark = pytest.mark.slow


async def test_the_demo_shows_the_whole_path_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ended = await run("demo", folder=tmp_path, COLUMNS="120")
    assert (ended.code, ended.err) == (0, "")
    assert await asyncio.to_thread(os.listdir, tmp_path) == []
    told = ended.out
    for part in (
        "simulated",
        "searching",
        "succeeded",
        "system prompt before",
        "You are a helpful assistant.",
        "system prompt after",
        "scores of 1 to 5 by the simulated judge, on 30 held-out queries",
        "Clarity",
        "reward (mean of a query's criteria)",
        "Verdict: promoted: better on 30 held-out queries",
        "95 % interval",
        "calls to simulated models and",
        "labelled production",
        QUESTION[:40],
        "simulated answer, alignment switched off",
        "simulated answer, prompt version pv_",
        "What to do next with a real model",
        "drpo.toml",
    ):
        assert part in told, part
    assert all(line.strip() in told for line in CONFIGURATION.splitlines())
    assert panel(told, "system prompt before") != panel(told, "system prompt after")
    assert panel(told, "simulated answer, alignment") != panel(told, "simulated answer, prompt")
    (reward,) = [line.split() for line in told.splitlines() if line.strip().startswith("reward (mean")]
    before, after, change, queries = reward[-4:]
    assert queries == "30"
    assert 1 <= float(before) < float(after) <= 5
    assert float(change) == pytest.approx(float(after) - float(before), abs=0.011)


def panel(told: str, title: str) -> str:
    """The text in the panel whose title begins with ``title``."""
    lines = told.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"╭─ {title}"))
    end = next(number for number in range(start, len(lines)) if lines[number].startswith("╰"))
    return "\n".join(line.strip("│ ") for line in lines[start + 1 : end])


def test_the_demo_reads_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRPO_TARGETS__MINE__BACKEND", "simulated")
    monkeypatch.setenv("DRPO_TARGETS__MINE__MODEL", "m")
    settings = simulated_models(tmp_path).settings
    assert {backend.kind for backend in settings.backends.values()} == {"simulated"}
    assert "mine" not in settings.targets
    assert str(tmp_path) in settings.database.url
