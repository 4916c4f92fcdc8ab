"""Rewards on the command line."""

import json
from pathlib import Path

import pytest

from app.commands.reward_options import read_rewards
from optimizer.errors import InvalidInputError


def test_without_an_option_nothing_is_asked_for() -> None:
    assert read_rewards(None, [], []) is None


def test_criteria_and_weights_are_read() -> None:
    rewards = read_rewards(None, ["Brand voice: friendly: and plain", "Wit:funny"], ["Safety=2", "wit = 0.5"])
    assert rewards == {
        "criteria": [
            {"name": "Brand voice", "description": "friendly: and plain"},
            {"name": "Wit", "description": "funny", "weight": 0.5},
        ],
        "weights": {"Safety": 2.0},
    }


def test_options_are_put_on_top_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rewards.json"
    checks = [{"name": "Short", "kind": "length", "max": 50}]
    own = [{"name": "Wit", "description": "funny"}]
    file.write_text(json.dumps({"checks": checks, "criteria": own, "weights": {"Depth": 0}}))
    assert read_rewards(file, ["Tact: kind"], ["Wit=3", "Depth=1"]) == {
        "checks": checks,
        "criteria": [
            {"name": "Wit", "description": "funny", "weight": 3},
            {"name": "Tact", "description": "kind"},
        ],
        "weights": {"Depth": 1},
    }


@pytest.mark.parametrize("text", ["Brand voice", ": x", "x:", ""])
def test_a_criterion_needs_name_and_description(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"--criterion .+ write name and description"):
        read_rewards(None, [text], [])


@pytest.mark.parametrize("text", ["Safety", "Safety=", "=2", "Safety=much", "Safety=-1", "Safety=nan"])
def test_a_weight_needs_name_and_number(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"--weight .+ write name=number"):
        read_rewards(None, [], [text])


@pytest.mark.parametrize("text", ["", "[]", "{", '{"criteria": {}}', '{"criteria": [1]}', '{"weights": []}'])
def test_a_file_has_to_be_a_json_object(text: str, tmp_path: Path) -> None:
    file = tmp_path / "rewards.json"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=r"--rewards .+rewards\.json"):
        read_rewards(file, [], [])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"none\.json"):
        read_rewards(tmp_path / "none.json", [], [])
