"""The critic can't see the hidden world, and nobody but tests may ask the oracle."""

import ast
from pathlib import Path

import app.llm.simulated

_PACKAGE = Path(next(iter(app.llm.simulated.__path__)))
_HIDDEN = {"world", "profiles", "oracle", "target"}


def _imports(module: str) -> set[str]:
    tree = ast.parse((_PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    whole = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "app.llm.simulated"
        for alias in node.names
    }
    prefix = "app.llm.simulated."
    return {name.removeprefix(prefix) for name in named | whole if name.startswith(prefix)}


def _reachable(module: str) -> set[str]:
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        for found in _imports(waiting.pop()) - seen:
            seen.add(found)
            waiting.append(found)
    return seen


def test_no_critic_reaches_the_hidden_world() -> None:
    for critic in (
        "critic_judge",
        "critic_pairwise",
        "critic_selector",
        "critic_proposer",
        "critic_labels",
        "critic_reader",
        "critic_rewriter",
    ):
        assert not _reachable(critic) & _HIDDEN, critic


def test_no_model_reaches_the_oracle() -> None:
    assert "oracle" not in _reachable("transport") | _reachable("server")
    assert _HIDDEN - {"oracle"} <= _reachable("transport")
