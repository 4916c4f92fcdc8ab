"""Traces of jobs."""

from collections import Counter
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from tests.app.jobs.service import open_service
from tests.app.telemetry.tracing import ENDPOINT, Spans, facts

ON: dict[str, Any] = {"traces_endpoint": ENDPOINT}


async def test_a_job_is_a_trace_with_its_rounds_its_gate_and_every_call(
    sqlite_url: str, spans: Spans
) -> None:
    async with open_service(sqlite_url, observability=ON) as service:
        found = await service.run()
        every = spans.all(service.resources)
    jobs = [span for span in every if span.name == "job prompt"]
    (job,) = jobs
    below = [span for span in every if span.context.trace_id == job.context.trace_id]
    counted = Counter(span.name for span in below)
    assert facts(job) == {
        "drpo.job.id": found["id"],
        "drpo.job.kind": "prompt",
        "drpo.job.target": "simulated-small",
    }
    assert (counted["round"], counted["gate"]) == (3, 1)
    calls = [span for span in below if span.name.startswith("chat ")]
    assert len(calls) == found["usage"]["calls"]
    roles = Counter(str(facts(span)["drpo.role"]) for span in calls)
    assert set(roles) == {"target", "proposer", "selector", "judge"}
    rounds = {span.context.span_id for span in below if span.name in {"round", "gate", "job prompt"}}
    assert all(span.parent is not None and span.parent.span_id in rounds for span in calls)
    tokens = sum(int(str(facts(span)["gen_ai.usage.input_tokens"])) for span in calls)
    assert tokens == found["usage"]["prompt_tokens"]
    assert "gen_ai.input.messages" not in {name for span in below for name in facts(span)}


async def test_scores_are_events_of_the_conventions(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability=ON) as service:
        job = await service.run()
        scored = await service.evaluations(job["id"])
        found = spans.named(service.resources, "evaluation")
    assert len(found) == len(scored)
    span = next(span for span in found if span.events)
    event = span.events[0]
    assert event.name == "gen_ai.evaluation.result"
    told = dict(event.attributes or {})
    assert set(told) == {"gen_ai.evaluation.name", "gen_ai.evaluation.score.value"}
    assert 1 <= float(str(told["gen_ai.evaluation.score.value"])) <= 5
    assert {"drpo.candidate.id", "drpo.query.id", "drpo.reward"} <= set(facts(span))


async def test_reasons_and_texts_are_told_where_content_is_recorded(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability={**ON, "record_content": True}) as service:
        await service.run()
        every = spans.all(service.resources)
    events = [event for span in every for event in span.events]
    assert all("gen_ai.evaluation.explanation" in (event.attributes or {}) for event in events)
    calls = [facts(span) for span in every if span.name.startswith("chat ")]
    assert all({"gen_ai.input.messages", "gen_ai.output.messages"} <= set(call) for call in calls)


async def test_of_very_many_calls_only_some_get_a_span(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability={**ON, "traced_calls": 7}) as service:
        used = (await service.run())["usage"]["calls"]
        calls = [span for span in spans.all(service.resources) if span.name.startswith("chat ")]
        evaluations = spans.named(service.resources, "evaluation")
    assert 7 < used < 100
    assert len(calls) == 7
    assert len(evaluations) == 7


@pytest.mark.parametrize("share", [0.0])
async def test_a_job_that_is_not_sampled_leaves_nothing(sqlite_url: str, spans: Spans, share: float) -> None:
    async with open_service(sqlite_url, observability={**ON, "traces_share": share}) as service:
        await service.run()
        assert spans.all(service.resources) == ()


async def test_a_job_that_is_cancelled_or_fails_ends_its_spans(sqlite_url: str, spans: Spans) -> None:
    async with open_service(sqlite_url, observability=ON) as service:
        service.backend.hold_from = 8
        job = await service.start()
        await service.backend.held.wait()
        await service.post(f"/v1/optimizations/{job}/cancel")
        await service.finished(job)
        span = spans.one(service.resources, "job prompt")
        held = [item for item in spans.all(service.resources) if item.name.startswith("chat ")]
    assert facts(span)["error.type"] == "cancelled"
    assert span.status.status_code is StatusCode.ERROR
    assert "cancelled" in {facts(item).get("error.type") for item in held}
