"""Traces of served requests."""

import asyncio
import json

import httpx
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from app.telemetry import semconv
from tests.app.chat.serving import MODEL, UPSTREAM_MODEL, add_version, open_service, question, serve_service
from tests.app.telemetry.tracing import ENDPOINT, Spans, facts
from tests.fakes.openai_server import Drop, Stream, error, sse

ON = {"traces_endpoint": ENDPOINT}
SERVER = "POST /v1/chat/completions"
CLIENT = f"chat {UPSTREAM_MODEL}"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "quixotic-zephyr"


async def test_a_request_is_a_span_and_its_call_another_below_it(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability=ON) as service:
        version = await add_version(service.resources.prompts)
        await service.ask(question(temperature=0.5, max_tokens=9, seed=7, n=2), x_request_id="order-66")
        server, client = (spans.one(service.resources, name) for name in (SERVER, CLIENT))
        sent = service.sent.headers["traceparent"]
    assert (server.kind, client.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert server.parent is None
    assert client.parent is not None
    assert client.parent.span_id == server.context.span_id
    assert sent.startswith(f"00-{client.context.trace_id:032x}-{client.context.span_id:016x}-0")
    told = facts(server)
    assert (
        told.items()
        >= {
            "http.request.method": "POST",
            "http.route": "/v1/chat/completions",
            "http.response.status_code": 200,
            "drpo.request.id": "order-66",
            "drpo.prompt.version": version.id,
            "drpo.ending": "answered",
            semconv.REQUEST_MODEL: MODEL,
            semconv.USAGE_OUTPUT_TOKENS: 10,
        }.items()
    )
    parts = ("resolve", "retrieve", "queue", "upstream", "store")
    assert {f"drpo.seconds.{part}" for part in parts} <= set(told)
    assert server.status.status_code is StatusCode.UNSET
    about = facts(client)
    assert about.pop("server.port") > 0  # type: ignore[operator]
    assert about == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": UPSTREAM_MODEL,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.response.id": "c-1",
        "gen_ai.response.model": UPSTREAM_MODEL,
        "gen_ai.response.finish_reasons": ("stop", "stop"),
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 10,
        "server.address": "127.0.0.1",
        "drpo.backend": "upstream",
    }


async def test_the_schema_and_the_service_are_named(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability=ON) as service:
        await service.ask(question())
        span = spans.one(service.resources, SERVER)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.41.0"
    assert span.resource.attributes["service.name"] == "drpo"


async def test_the_callers_trace_goes_on(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability=ON) as service:
        await service.ask(question(), traceparent=CALLER, tracestate="vendor=1")
        server = spans.one(service.resources, SERVER)
        sent = service.sent.headers
    assert server.parent is not None
    assert f"00-{server.context.trace_id:032x}-{server.parent.span_id:016x}-01" == CALLER
    assert sent["traceparent"].split("-")[1] == CALLER.split("-")[1]
    assert sent["tracestate"] == "vendor=1"


async def test_one_whom_the_caller_does_not_trace_is_not_traced(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability=ON) as service:
        await service.ask(question(), traceparent=CALLER[:-1] + "0")
        assert spans.all(service.resources) == ()
        assert service.sent.headers["traceparent"].endswith("-00")


async def test_a_share_may_be_traced(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability={**ON, "traces_share": 0}) as service:
        await service.ask(question())
        await service.ask(question(), traceparent=CALLER)
        assert len(spans.named(service.resources, SERVER)) == 1


async def test_without_tracing_the_callers_parent_is_passed_on_as_it_is(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        assert service.resources.observation.tracing is None
        await service.ask(question(), traceparent=CALLER)
        passed = service.sent.headers["traceparent"]
        await service.ask(question())
        assert "traceparent" not in service.sent.headers
        for hostile in (CALLER + "-x", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "x" * 55):
            await service.ask(question(), traceparent=hostile)
            assert "traceparent" not in service.sent.headers
    assert passed == CALLER


async def test_a_stream_says_when_it_began_and_why_it_ended(sqlite_url: str, spans: Spans) -> None:
    ended = {"id": "c-2", "model": UPSTREAM_MODEL}
    frames = [
        sse({**ended, "choices": [{"index": 0, "delta": {"content": SECRET}, "finish_reason": None}]}),
        sse({**ended, "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}),
        sse({**ended, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        b"data: [DONE]\n\n",
    ]
    async with serve_service(sqlite_url, observability=ON) as listening, client_of(listening.url) as client:
        listening.fake.push(Stream(chunks=frames))
        await client.post("/v1/chat/completions", json=question(stream=True))
    about = facts(spans.one(listening.resources, CLIENT))
    assert about["gen_ai.request.stream"] is True
    assert 0 < float(str(about["gen_ai.response.time_to_first_chunk"])) < 20
    assert about["gen_ai.response.finish_reasons"] == ("length",)
    assert (about["gen_ai.usage.input_tokens"], about["gen_ai.usage.output_tokens"]) == (3, 4)
    assert SECRET not in str(about)


def client_of(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=20)


@pytest.mark.parametrize("records", [False, True])
async def test_content_is_recorded_only_where_that_is_switched_on(
    sqlite_url: str, spans: Spans, *, records: bool
) -> None:
    on = {**ON, "record_content": records}
    instructions = {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    asked = question() | {"messages": [instructions, {"role": "user", "content": SECRET}]}
    async with serve_service(sqlite_url, observability=on) as listening, client_of(listening.url) as client:
        whole = await client.post("/v1/chat/completions", json=asked)
        await client.post("/v1/chat/completions", json={**asked, "stream": True})
    seen = [facts(span) for span in spans.named(listening.resources, CLIENT)]
    told = " ".join(str(facts(span)) for span in spans.all(listening.resources))
    answer = whole.json()["choices"][0]["message"]["content"]
    assert (SECRET in told) is (answer in told) is records
    if records:
        assert len(seen) == 2
        for about in seen:
            assert json.loads(str(about["gen_ai.input.messages"])) == [
                {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
                {"role": "user", "parts": [{"type": "text", "content": SECRET}]},
            ]
        (message,) = json.loads(str(seen[0]["gen_ai.output.messages"]))
        assert message == {
            "role": "assistant",
            "parts": [{"type": "text", "content": answer}],
            "finish_reason": "stop",
        }
        assert "gen_ai.output.messages" in seen[1]


async def test_failures_are_told_by_their_class_without_a_message(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability=ON) as service:
        service.fake.push(error(400, SECRET), Drop())
        await service.ask(question())
        await service.ask(question())
        await service.ask(question(model="unknown"))
        calls = spans.named(service.resources, CLIENT)
        requests = spans.named(service.resources, SERVER)
        told = " ".join(
            f"{facts(span)} {span.status.description} {span.events}" for span in (*calls, *requests)
        )
    assert [facts(span)["error.type"] for span in calls] == ["RequestRefusedError", "BackendUnavailableError"]
    assert all(span.status.status_code is StatusCode.ERROR for span in calls)
    assert [facts(span).get("error.type") for span in requests] == [
        *("backend_refused", "backend_unavailable", None)
    ]
    assert [facts(span)["http.response.status_code"] for span in requests] == [400, 503, 404]
    assert SECRET not in told


async def test_a_stream_that_breaks_is_a_failed_call(sqlite_url: str, spans: Spans) -> None:
    frame = sse({"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}}]})
    async with serve_service(sqlite_url, observability=ON) as listening, client_of(listening.url) as client:
        listening.fake.push(Stream(chunks=[frame, frame], drop=True))
        await client.post("/v1/chat/completions", json=question(stream=True))
    call, request = (spans.one(listening.resources, name) for name in (CLIENT, SERVER))
    assert facts(call)["error.type"] == "BackendUnavailableError"
    assert facts(request)["error.type"] == "backend_unavailable"
    assert facts(request)["drpo.ending"] == "failed"


async def test_a_client_that_leaves_ends_its_spans(sqlite_url: str, spans: Spans) -> None:
    frame = sse({"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}}]})
    gate = asyncio.Event()
    async with serve_service(sqlite_url, observability=ON) as listening:
        listening.fake.push(Stream(chunks=[frame, frame], gate=gate))
        async with client_of(listening.url) as client:
            body = question(stream=True)
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                await anext(response.aiter_bytes())
        await listening.fake.until(lambda: listening.fake.left == 1)
    call, request = (spans.one(listening.resources, name) for name in (CLIENT, SERVER))
    assert facts(call)["error.type"] == "cancelled"
    assert facts(request)["drpo.ending"] == "client_left"


async def test_probes_and_metrics_are_not_traced(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability=ON) as service:
        for path in ("/livez", "/metrics"):
            await service.client.get(path)
        await service.client.get("/v1/models")
        assert [span.name for span in spans.all(service.resources)] == ["GET /v1/models"]
