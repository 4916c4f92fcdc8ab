"""Spans on their way to a real receiver, over HTTP on loopback."""

import asyncio
import gzip

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.types import Receive, Scope, Send

from app.settings import load_settings
from app.telemetry import semconv
from tests.app.chat.serving import UPSTREAM_MODEL, open_service, question
from tests.app.listening import listening


class Receiver:
    """A collector: keeps what it is sent, or refuses it."""

    def __init__(self, status: int = 200) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        content, more = b"", True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        if dict(scope["headers"]).get(b"content-encoding") == b"gzip":
            content = gzip.decompress(content)
        self.paths.append(scope["path"])
        self.requests.append(ExportTraceServiceRequest.FromString(content))
        headers = [(b"content-type", b"application/x-protobuf")]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def test_spans_arrive_when_the_service_ends(sqlite_url: str) -> None:
    receiver = Receiver()
    async with listening(receiver) as url:
        async with open_service(sqlite_url, observability={"traces_endpoint": f"{url}/v1/traces"}) as service:
            await service.ask(question())
        assert receiver.paths == ["/v1/traces"]
    (resource,) = receiver.requests[0].resource_spans
    (scope,) = resource.scope_spans
    assert {span.name for span in scope.spans} == {"POST /v1/chat/completions", f"chat {UPSTREAM_MODEL}"}
    assert scope.schema_url == semconv.SCHEMA_URL
    assert {item.key: item.value.string_value for item in resource.resource.attributes}[
        "service.name"
    ] == "drpo"


async def test_a_collector_that_refuses_costs_no_answer(sqlite_url: str) -> None:
    receiver = Receiver(status=400)
    async with listening(receiver) as url:
        on = {"traces_endpoint": f"{url}/v1/traces"}
        async with open_service(sqlite_url, observability=on) as service:
            assert (await service.ask(question())).status_code == 200
        assert len(receiver.requests) == 1


async def test_one_that_hangs_holds_the_end_for_a_moment_only(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.telemetry.tracing._LAST_SECONDS", 0.01)
    opened = asyncio.Event()

    async def hang(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await opened.wait()

    async with listening(hang) as url:
        async with open_service(sqlite_url, observability={"traces_endpoint": f"{url}/v1/traces"}) as service:
            assert (await service.ask(question())).status_code == 200
        opened.set()


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:2/t",
            },
            "http://c:2/t",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1",
                "DRPO_OBSERVABILITY__TRACES_ENDPOINT": "http://c:3/x",
            },
            "http://c:3/x",
        ),
    ],
)
def test_where_spans_go_may_stand_in_the_usual_variables(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], endpoint: str | None
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = load_settings().observability.traces_endpoint
    assert (None if found is None else str(found)) == endpoint
