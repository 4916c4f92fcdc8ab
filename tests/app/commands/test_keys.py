import json
from pathlib import Path
from typing import Any

import pytest

from app.commands.keys import parse_quota, show_keys
from optimizer.errors import InvalidInputError
from tests.app.command_line import Outcome, drpo
from tests.app.commands.screen import new_console, text_of


@pytest.fixture
def run(tmp_path: Path, sqlite_url: str, restored_logging: None) -> object:
    config = tmp_path / "drpo.toml"
    config.write_text(f'[database]\nurl = "{sqlite_url}"\n[server]\nport = 0\n')

    def command(*arguments: str) -> Outcome:
        return drpo("keys", *arguments, "--config", str(config))

    return command


def test_a_key_s_life_on_the_command_line(run: object) -> None:
    assert callable(run)
    made = run(
        "create", "my app", "--model", "simulated-chat", "--rpm", "60", "--quota", "day:requests=1000,cost=5"
    )
    assert made.code == 0, made.err
    assert made.out.startswith("drpo_")
    (key,) = json.loads(run("list", "--json").out)
    assert (key["name"], key["scopes"], key["models"]) == ("my app", ["serve"], ["simulated-chat"])
    assert made.out.strip() not in str(key)
    changed = json.loads(
        run("change", key["id"], "--name", "ours", "--scope", "optimize", "--expires-days", "1", "--json").out
    )
    assert (changed["name"], changed["scopes"]) == ("ours", ["optimize"])
    assert changed["limits"] == key["limits"]
    assert changed["expires_at"] > changed["created_at"]
    limited = json.loads(run("change", key["id"], "--tpm", "7", "--json").out)
    assert (limited["limits"]["tokens_per_minute"], limited["limits"]["quotas"]) == (7, [])
    assert json.loads(run("revoke", key["id"], "--json").out)["revoked_at"] is not None
    refused = run("revoke", "key_x")
    assert refused.code == 1
    assert "there is no key key_x" in refused.err


def test_a_key_as_json_holds_its_secret_once(run: object) -> None:
    assert callable(run)
    made = json.loads(run("create", "x", "--json").out)
    assert made["key"].startswith(made["prefix"])


def test_all_keys_are_shown_with_what_they_may(run: object) -> None:
    console = new_console(width=220)
    usual: dict[str, Any] = {
        "id": "key_1",
        "prefix": "drpo_a",
        "name": "one",
        "scopes": ["serve", "admin"],
        "models": None,
        "limits": {"requests_per_minute": None, "tokens_per_minute": None, "quotas": []},
        "revoked_at": None,
        "expires_at": None,
        "last_used_at": 1_790_000_000.0,
    }
    quotas = [{"period": "day", "requests": 1000, "cost": 2.5}, {"period": "total", "tokens": 9}]
    limits = {"requests_per_minute": 60, "tokens_per_minute": 10_000, "quotas": quotas}
    show_keys(
        console,
        [
            usual,
            {**usual, "limits": limits, "models": ["a"], "expires_at": 9e9, "last_used_at": None},
            {**usual, "models": [], "expires_at": 1.0},
            {**usual, "revoked_at": 1_790_000_000.0},
        ],
    )
    told = text_of(console)
    for words in (
        "serve, admin │ all    │ none",
        "60 requests/min; 10,000 tokens/min; 1,000 requests and 2.5 cost a day; 9 tokens in all",
        "valid",
        "until 2255-",
        "expired 1970-",
        "revoked 2026-09-21",
        "never",
        "2026-09-21 14:13 UTC",
    ):
        assert words in told


@pytest.mark.parametrize("text", ["day", "day:", "day:requests", "day:requests=x", "day:requests=1;tokens=2"])
def test_a_quota_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="write it like"):
        parse_quota(text)
