"""What tests see of traces: spans in memory instead of on their way to a collector."""

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.resources import Resources

ENDPOINT = "http://127.0.0.1:9/v1/traces"


class Spans:
    """What was traced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._exporter = InMemorySpanExporter()
        monkeypatch.setattr("app.telemetry.tracing.otlp_exporter", lambda _: self._exporter)

    def all(self, resources: Resources) -> Sequence[ReadableSpan]:
        """What has ended by now."""
        assert resources.observation.tracing is not None
        resources.observation.tracing.flush()
        return self._exporter.get_finished_spans()

    def named(self, resources: Resources, name: str) -> list[ReadableSpan]:
        """Those called ``name``."""
        return [span for span in self.all(resources) if span.name == name]

    def one(self, resources: Resources, name: str) -> ReadableSpan:
        """The only one called ``name``."""
        (span,) = self.named(resources, name)
        return span


def facts(span: ReadableSpan) -> dict[str, object]:
    """The attributes of ``span``."""
    return dict(span.attributes or {})
