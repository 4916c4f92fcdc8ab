"""Traces in memory."""

import pytest

from tests.app.telemetry.tracing import Spans


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """Where services that are opened from now on send their spans."""
    return Spans(monkeypatch)
