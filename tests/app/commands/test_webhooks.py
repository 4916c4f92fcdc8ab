import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.commands.webhooks import show_deliveries, show_webhooks
from tests.app.command_line import Outcome, drpo
from tests.app.commands.screen import new_console, text_of

Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, sqlite_url: str, restored_logging: None) -> Run:
    config = tmp_path / "drpo.toml"
    config.write_text(
        f'[database]\nurl = "{sqlite_url}"\n[server]\nport = 0\n[webhooks]\n'
        'signing_key = "0123456789abcdef0123456789abcdef"\nprivate_hosts = ["127.0.0.1"]\n'
    )

    def command(*arguments: str) -> Outcome:
        return drpo("webhooks", *arguments, "--config", str(config))

    return command


def test_a_webhook_s_life_on_the_command_line(run: Run) -> None:
    added = run("add", "http://127.0.0.1:9/hook", "--event", "optimization.failed", "--name", "alarm")
    assert added.code == 0, added.err
    assert added.out.startswith("whsec_")
    (webhook,) = json.loads(run("list", "--json").out)
    assert (webhook["name"], webhook["events"]) == ("alarm", ["optimization.failed"])
    assert "secret" not in webhook
    assert "is on its way" in run("test", webhook["id"]).out
    (delivery,) = json.loads(run("deliveries", webhook["id"], "--json").out)
    assert delivery["event"] == "webhook.test"
    assert "is active" in run("enable", webhook["id"]).out
    assert "is deleted" in run("delete", webhook["id"]).out
    assert "no webhooks" in run("list").out


def test_a_refused_webhook_says_what_to_change(run: Run) -> None:
    refused = run("add", "http://10.0.0.1/hook")
    assert (refused.code, "webhooks.private_hosts" in refused.err) == (1, True)


def test_lists_show_what_matters_and_obey_nothing() -> None:
    console = new_console()
    webhook = {
        "id": "wh_1",
        "name": "[red]alarm",
        "url": "https://example.org",
        "target": None,
        "status": "disabled",
        "disabled_because": "gone",
    }
    show_webhooks(console, [webhook])
    delivery = {
        "id": "msg_1",
        "event": "optimization.failed",
        "subject": "opt_1",
        "status": "waiting",
        "attempts": 2,
        "error": None,
        "response_status": None,
    }
    show_deliveries(console, [delivery, {**delivery, "response_status": 204}])
    show_deliveries(console, [])
    told = text_of(console)
    for part in ("[red]alarm", "all models", "gone", "msg_1", "answered 204", "nothing was told yet"):
        assert part in told
