import ast

from tests.architecture.sources import PYTHON_FOLDERS, name_of, parsed, python_files

MAX_FILE = 400
MAX_FUNCTION = 50


def test_no_file_is_longer_than_its_limit() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in python_files(*PYTHON_FOLDERS)}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > MAX_FILE} == {}


def test_no_function_is_longer_than_its_limit() -> None:
    lengths = {
        f"{name_of(path)}:{node.lineno} {node.name}": code_lines(node)
        for path in python_files(*PYTHON_FOLDERS)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(lengths) > 500
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION} == {}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the name to the end."""
    return (function.end_lineno or 0) - function.lineno + 1
