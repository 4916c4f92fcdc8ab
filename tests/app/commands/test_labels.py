"""``drpo labels``."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.commands.labels import show_moves
from store.records.prompts import PromptVersionDraft
from tests.app.chat.serving import open_prompts
from tests.app.command_line import Outcome, drpo
from tests.app.commands.screen import new_console, text_of

Run = Callable[..., Outcome]
MODEL = "simulated-small"


@pytest.fixture
def run(tmp_path: Path, sqlite_url: str, restored_logging: None) -> Run:
    config = tmp_path / "drpo.toml"
    config.write_text(f'[database]\nurl = "{sqlite_url}"\n[server]\nport = 0\n')

    def command(*arguments: str) -> Outcome:
        return drpo("labels", *arguments, "--config", str(config))

    return command


def test_a_label_is_moved_and_that_is_undone(run: Run, sqlite_url: str) -> None:
    async def add() -> list[str]:
        async with open_prompts(sqlite_url) as prompts:
            drafts = [PromptVersionDraft(model=MODEL, system_prompt=text, sampling={}) for text in "ab"]
            return [(await prompts.add_version(draft)).id for draft in drafts]

    first, second = asyncio.run(add())
    assert "no label was moved yet" in run("history", MODEL).out
    assert f"production of {MODEL} points to {first}" in run("move", MODEL, "production", first).out
    moved = json.loads(run("move", MODEL, "production", second, "--reason", "try", "--json").out)
    assert moved["version"] == second
    assert f"points to {first} again (move 2 is undone)" in " ".join(run("undo", MODEL).out.split())
    again = run("undo", MODEL)
    assert (again.code, "name it to undo it" in again.err) == (1, True)
    assert json.loads(run("undo", MODEL, "--move", "3", "--json").out)["to_version"] == second
    reasons = [item["reason"] for item in json.loads(run("history", MODEL, "--json").out)]
    assert reasons == ["undone by hand", "undone by hand", "try", "moved by hand"]


def test_a_label_that_is_taken_away_says_so(run: Run, sqlite_url: str) -> None:
    async def add() -> str:
        async with open_prompts(sqlite_url) as prompts:
            draft = PromptVersionDraft(model=MODEL, system_prompt="a", sampling={})
            return (await prompts.add_version(draft)).id

    run("move", MODEL, "candidate", asyncio.run(add()))
    assert "nothing: the model is served as it is" in " ".join(run("undo", MODEL, "candidate").out.split())


def test_the_history_obeys_nothing_that_it_shows() -> None:
    console = new_console()
    move = {"id": 2, "at": 0.0, "label": "production", "actor": "[red]x", "reason": "r", "undoes": 1}
    show_moves(console, [{**move, "from_version": None, "to_version": "pv_1"}])
    told = text_of(console)
    assert "[red]x" in told
    assert "2 (undoes 1)" in " ".join(told.split())
