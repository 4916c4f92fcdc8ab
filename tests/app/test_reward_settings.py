"""Where a job's own scorer may be, and what it may be sent."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.reward_settings import RewardSettings
from app.settings import Settings, read_header_variable
from optimizer.errors import InvalidInputError

CRITIC = {"backend": "simulated", "model": "simulated-critic"}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/score",
        "http://127.0.0.1:9000/score?version=2",
        "https://localhost/score",
        "HTTP://LocalHost:1/",
        "http://[::1]:8080/x",
    ],
)
def test_loopback_is_allowed_by_default(url: str) -> None:
    RewardSettings().check_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data", "not among the hosts"),
        ("http://example.org/", "not among the hosts"),
        ("http://127.0.0.1.example.org/", "not among the hosts"),
        ("http://localhost.example.org/", "not among the hosts"),
        ("http://2130706433/", "not among the hosts"),
        ("http://0.0.0.0/", "not among the hosts"),
        ("http://127.0.0.1@example.org/", "leave user"),
        ("http://user:key@127.0.0.1/", "leave user"),
        ("http://127.0.0.1/#x", "leave user"),
        ("ftp://127.0.0.1/", "has to begin"),
        ("gopher://127.0.0.1/", "has to begin"),
        ("/score", "has to begin"),
        ("http://", "has to begin"),
        ("http://127.0.0.1:99999999/", "no port"),
        ("http://exa\x00mple/", "this is no URL"),
    ],
)
def test_any_other_place_is_refused(url: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        RewardSettings().check_url(url)


def test_an_operator_allows_hosts_with_or_without_a_port() -> None:
    settings = RewardSettings(http_hosts=("Scores.internal", "10.0.0.5:8080", "tls.internal:443"))
    for allowed in ("http://scores.internal:1234/x", "http://10.0.0.5:8080/", "https://tls.internal/"):
        settings.check_url(allowed)
    for refused in ("http://10.0.0.5/", "http://tls.internal/", "http://127.0.0.1/"):
        with pytest.raises(InvalidInputError):
            settings.check_url(refused)


@pytest.mark.parametrize("host", ["", "http://x", "*.example.org", "user@host"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="is no host"):
        RewardSettings(http_hosts=(host,))


def test_only_listed_variables_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORER_TOKEN", " abc ")
    monkeypatch.setenv("PROVIDER_KEY", "secret")
    monkeypatch.setenv("BROKEN", "a\nb")
    settings = RewardSettings(http_header_variables=("SCORER_TOKEN", "MISSING", "BROKEN"))
    assert read_header_variable(settings, "SCORER_TOKEN").get_secret_value() == "abc"
    for name, reason in (
        ("PROVIDER_KEY", "may not be sent"),
        ("MISSING", "is not set"),
        ("BROKEN", "line breaks"),
    ):
        with pytest.raises(InvalidInputError, match=reason):
            read_header_variable(settings, name)


def settings_of(**groups: Any) -> Settings:
    return Settings.model_validate(groups)


def test_further_judges_are_configured_by_name() -> None:
    assert settings_of(judges={"strict": CRITIC}).judges["strict"].model == "simulated-critic"
    for name, judge, reason in (
        ("judge", CRITIC, r"is the name of roles\.judge"),
        ("strict", {"backend": "elsewhere", "model": "m"}, r"judges\.strict\.backend is 'elsewhere'"),
        ("Not A Name", CRITIC, "pattern"),
    ):
        with pytest.raises(ValidationError, match=reason):
            settings_of(judges={name: judge})
