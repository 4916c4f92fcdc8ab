import tomllib
from pathlib import Path

import pytest

from app.commands.next_steps import CONFIGURATION, show_next_steps
from app.settings import load_settings
from tests.app.commands.screen import new_console, text_of


def test_the_configuration_that_is_shown_works(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    settings = load_settings(path)
    assert list(settings.targets) == ["my-model"]
    assert settings.roles.judge.model == "strong-model"


def shown_to(program: str) -> str:
    console = new_console(width=80)
    show_next_steps(console, program)
    return text_of(console)


def test_it_can_be_copied_from_a_terminal_of_80_columns() -> None:
    told = shown_to("drpo")
    assert max(len(line.rstrip()) for line in told.splitlines() if not line.startswith("Any")) <= 80
    first = told.index("[backends.mine]")
    assert tomllib.loads(told[first : told.index("2. Start")]) == tomllib.loads(CONFIGURATION)


@pytest.mark.parametrize("program", ["/opt/venv/bin/drpo", ".venv/bin/drpo"])
def test_commands_are_named_as_the_reader_can_call_them(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert f"   {program} serve\n" in shown_to(program)
    executable = tmp_path / "drpo"
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o755)
    assert "   drpo serve\n" in shown_to(program)


def test_a_module_that_was_run_is_no_program() -> None:
    assert "   drpo optimize my-model" in shown_to("/somewhere/app/cli.py")
