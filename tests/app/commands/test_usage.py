import json
from pathlib import Path

from app.commands.usage import show_usage
from tests.app.command_line import drpo
from tests.app.commands.screen import new_console, text_of

ENTRY = {
    "day": "2026-11-27",
    "key_id": "key_1",
    "key_name": "app",
    "model": "m",
    "requests": 1234,
    "failed": 1,
    "client_left": 2,
    "prompt_tokens": 5000,
    "completion_tokens": 600,
    "cost": 1.5,
}
REPORT = {"since": "2026-11-01", "until": "2026-11-27", "data": [ENTRY], "has_more": False}


def shown(**fields: object) -> str:
    console = new_console(width=140)
    show_usage(console, {**REPORT, **fields})
    return text_of(console)


def test_usage_is_shown_by_what_it_is_grouped_by() -> None:
    told = shown()
    for words in ("2026-11-01 to 2026-11-27", "app (key_1)", "1,234", "5,000", "1.500000"):
        assert words in told
    entry = {**ENTRY, "day": None, "key_id": None, "key_name": None}
    assert "day" not in shown(data=[entry])
    assert "there is more" in shown(has_more=True)
    assert shown(data=[]) == "nothing was asked in this time\n"


def test_the_command_asks_the_service(tmp_path: Path, sqlite_url: str, restored_logging: None) -> None:
    config = tmp_path / "drpo.toml"
    config.write_text(f'[database]\nurl = "{sqlite_url}"\n[server]\nport = 0\n')
    found = drpo("usage", "--days", "2", "--by", "model", "--json", "--config", str(config))
    assert found.code == 0, found.err
    assert json.loads(found.out)["data"] == []
    plain = drpo("usage", "--config", str(config))
    assert "nothing was asked" in plain.out
    missing = drpo("usage", "--key", "key_x", "--config", str(config))
    assert "there is no key key_x" in missing.err
