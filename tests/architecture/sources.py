"""The repository as the architecture tests read it."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "optimizer", "rewards", "store")
PYTHON_FOLDERS = (*PACKAGES, "tests", "benchmarks")
MIGRATIONS = ROOT / "store" / "migrations" / "versions"


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    """All Python files under ``folders``, without the migrations, which never change once released."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(sorted(path for path in found if not path.is_relative_to(MIGRATIONS)))


@cache
def repository_files() -> tuple[Path, ...]:
    """The files that belong to the repository: tracked, or new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """``path`` as messages show it."""
    return path.relative_to(ROOT).as_posix()
