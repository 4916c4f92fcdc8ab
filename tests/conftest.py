"""What holds for all tests: a clean environment, no network, and a loud word on what was not run."""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests.fixtures.postgres import URL_VARIABLE

pytest_plugins = ["tests.fixtures.database", "tests.fixtures.network", "tests.fixtures.redis"]

# before numpy is imported: threads for matrices this small only wait for each other, for ten times as long
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_NOT_RUN = "NOT RUN on "
_LEAKING = ("DRPO_", "OPENAI_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

# shared runners stall: a slow example says nothing about the code
settings.register_profile(
    "drpo", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("drpo")


def pytest_configure() -> None:
    """Take away what the developer's shell would let into the tests."""
    for name in list(os.environ):
        if (name.startswith(_LEAKING) and name != URL_VARIABLE) or name.upper() in _PROXIES:
            del os.environ[name]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped for want of a server, and why."""
    reasons: dict[str, int] = {}
    for report in terminalreporter.getreports("skipped"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if reason.removeprefix("Skipped: ").startswith(_NOT_RUN):
            reasons[reason.removeprefix("Skipped: ")] = reasons.get(reason.removeprefix("Skipped: "), 0) + 1
    for reason, count in reasons.items():
        terminalreporter.write_sep("!", f"{count} tests {reason}", red=True, bold=True)
