"""What the command line says about rewards, as the ``rewards`` of a job's request."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optimizer.errors import InvalidInputError

_EXAMPLE = "'Brand voice: it sounds friendly and plain'"


def read_rewards(file: Path | None, criteria: Sequence[str], weights: Sequence[str]) -> dict[str, Any] | None:
    """The ``rewards`` of a request, or None where nothing is said about them.

    Args:
        file: a JSON file with the whole of it.
        criteria: ``Name: description``, added to the file's.
        weights: ``Name=2``, for a criterion given here or in the file, else for a built-in one.

    Raises:
        InvalidInputError: the file holds no JSON object, or an option is not of its form.
    """
    if file is None and not criteria and not weights:
        return None
    rewards = {} if file is None else _read(file)
    own = [*rewards.get("criteria", ()), *map(_criterion, criteria)]
    built_in = dict(rewards.get("weights", {}))
    for name, weight in map(_weight, weights):
        found = [item for item in own if str(item.get("name", "")).casefold() == name.casefold()]
        if found:
            found[0]["weight"] = weight
        else:
            built_in[name] = weight
    return {**rewards, "criteria": own, "weights": built_in}


def _read(file: Path) -> dict[str, Any]:
    try:
        rewards = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"--rewards {file}: {error}", param="rewards") from error
    if not isinstance(rewards, dict) or not _is_list_of_objects(rewards.get("criteria", [])):
        raise InvalidInputError(
            f'--rewards {file}: write a JSON object such as {{"criteria": [], "checks": []}}', param="rewards"
        )
    if not isinstance(rewards.get("weights", {}), dict):
        raise InvalidInputError(
            f'--rewards {file}: "weights" has to be an object of names and numbers', param="rewards"
        )
    return rewards


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _criterion(text: str) -> dict[str, Any]:
    name, colon, description = (part.strip() for part in text.partition(":"))
    if not (name and colon and description):
        raise InvalidInputError(
            f"--criterion {text!r}: write name and description, such as {_EXAMPLE}", param="criterion"
        )
    return {"name": name, "description": description}


def _weight(text: str) -> tuple[str, float]:
    name, equals, value = (part.strip() for part in text.rpartition("="))
    try:
        weight = float(value)
    except ValueError:
        weight = -1.0
    if not (name and equals and weight >= 0):  # also NaN
        raise InvalidInputError(
            f"--weight {text!r}: write name=number, 0 or more, such as Safety=2", param="weight"
        )
    return name, weight
