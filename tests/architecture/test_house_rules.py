import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import PACKAGES, PYTHON_FOLDERS, ROOT, name_of, parsed, python_files

FORBIDDEN_WORDS = frozenset(
    {"common", "data", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
)
FORBIDDEN_PREFIX = "process_"
COUNTING = frozenset({"CallAccount", "Reservation"})
"""Handles on something that goes on while they are held; values never change."""


def test_an_init_file_holds_one_docstring_line_and_nothing_else() -> None:
    wrong = [
        name_of(path)
        for path in python_files(*PYTHON_FOLDERS)
        if path.name == "__init__.py" and not is_one_docstring_line(path)
    ]
    assert wrong == []


def is_one_docstring_line(path: Path) -> bool:
    docstring = ast.get_docstring(parsed(path), clean=False)
    return bool(docstring) and len(parsed(path).body) == 1 and path.read_text().count("\n") == 1


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in python_files(*PYTHON_FOLDERS)}
    assert [name_of(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_modules_are_named_after_what_they_own() -> None:
    wrong = [
        name_of(path)
        for path in python_files(*PYTHON_FOLDERS)
        if FORBIDDEN_WORDS & set(path.stem.split("_")) or path.stem.startswith(FORBIDDEN_PREFIX)
    ]
    assert wrong == []


def dataclass_decorators(path: Path) -> Iterator[tuple[ast.ClassDef, dict[str, object]]]:
    """The dataclasses in a file, with the keywords of their decorator."""
    for node in ast.walk(parsed(path)):
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            call = decorator if isinstance(decorator, ast.Call) else None
            name = call.func if call else decorator
            if isinstance(node, ast.ClassDef) and isinstance(name, ast.Name) and name.id == "dataclass":
                keywords = call.keywords if call else []
                yield node, {str(item.arg): getattr(item.value, "value", None) for item in keywords}


def test_dataclasses_that_others_see_are_frozen_and_have_slots() -> None:
    found = [
        (f"{name_of(path)} {node.name}", keywords)
        for path in python_files(*PACKAGES)
        for node, keywords in dataclass_decorators(path)
        if not node.name.startswith("_")
    ]
    assert len(found) > 20
    assert [name for name, keywords in found if not keywords.get("slots")] == []
    changing = {name.split()[-1] for name, keywords in found if not keywords.get("frozen")}
    assert changing <= COUNTING


@pytest.mark.parametrize("package", ["optimizer", "rewards"])
def test_the_pure_packages_ask_neither_clock_nor_machine(package: str) -> None:
    readers = [
        f"{name_of(path)}:{node.lineno}"
        for path in python_files(package)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        and {"datetime", "os", "socket", "time"} & imported_modules(node)
    ]
    assert readers == []


def imported_modules(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [item.name for item in node.names]
    return {name.partition(".")[0] for name in names}


def test_every_test_says_in_words_what_it_shows() -> None:
    curt = [
        f"{name_of(path)} {node.name}"
        for path in python_files("tests")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and len(node.name.split("_")) < 3
    ]
    assert curt == []


def test_every_meta_prompt_is_loaded_by_a_module_of_its_package() -> None:
    for package in ("optimizer", "rewards"):
        templates = sorted(path.name for path in (ROOT / package).rglob("*.j2"))
        assert templates
        texts = {
            node.value
            for path in python_files(package)
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        # a pair of system and user message is loaded by its common name
        names = {name: name.removesuffix(".md.j2").removesuffix("_user") for name in templates}
        assert [name for name in templates if not {name, names[name]} & texts] == []
