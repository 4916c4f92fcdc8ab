"""What backends say of their prefix caches reaches prices, the report and the metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.prompt_cache import prompt_cache
from app.llm.metering import Meter
from app.llm.prices import Price
from app.llm.recording import result_from_json, result_to_json
from app.llm.wire import read_usage
from app.telemetry.metrics import Metrics
from app.telemetry.model_calls import ModelCallMetrics
from optimizer.types import Completion, CompletionResult, JsonValue, ModelRole, Usage

counts = st.integers(0, 10**6)
usages = st.builds(
    Usage, prompt_tokens=counts, completion_tokens=counts, cached_prompt_tokens=st.none() | counts
)


@pytest.mark.parametrize(
    ("details", "cached"),
    [
        ({"cached_tokens": 64}, 64),
        ({"cached_tokens": 0}, 0),
        ({"cached_tokens": 900}, 100),
        ({"cached_tokens": None}, None),
        ({"cached_tokens": "many"}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_cached_tokens_are_read_where_the_backend_says_them(details: JsonValue, cached: int | None) -> None:
    told = read_usage({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": details})
    assert told == Usage(prompt_tokens=100, completion_tokens=5, cached_prompt_tokens=cached)


@given(usages)
def test_they_are_on_record_with_the_answer(usage: Usage) -> None:
    result = CompletionResult(completions=(Completion(text="x"),), usage=usage, model="m", seconds=1.0)
    record = result_to_json(result)
    assert result_from_json(record) == result
    assert ("cached_prompt_tokens" in str(record)) is (usage.cached_prompt_tokens is not None)


@given(usages, usages)
def test_sums_know_them_where_one_part_does(one: Usage, other: Usage) -> None:
    total = (one + other).cached_prompt_tokens
    if one.cached_prompt_tokens is None and other.cached_prompt_tokens is None:
        assert total is None
    else:
        assert total == (one.cached_prompt_tokens or 0) + (other.cached_prompt_tokens or 0)


def test_they_cost_what_they_are_said_to_cost() -> None:
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=0, cached_prompt_tokens=600_000)
    assert Price(input_per_million=2).spend(usage).cost == pytest.approx(2)
    assert Price(input_per_million=2, cached_input_per_million=0.5).spend(usage).cost == pytest.approx(1.1)
    assert Price(input_per_million=2, cached_input_per_million=0).spend(usage).cost == pytest.approx(0.8)


def test_the_report_counts_each_answer_once_and_leaves_out_who_says_nothing() -> None:
    meter = Meter()
    assert prompt_cache(meter.uses) is None
    told = Usage(prompt_tokens=100, completion_tokens=5, cached_prompt_tokens=80)
    meter.answered(ModelRole.TARGET, Price().spend(told), seconds=1, usage=told)
    meter.replayed(ModelRole.TARGET, told)
    meter.replayed(ModelRole.TARGET)
    silent = Usage(prompt_tokens=50, completion_tokens=5)
    meter.answered(ModelRole.JUDGE, Price().spend(silent), seconds=1, usage=silent)
    assert prompt_cache(meter.uses) == {
        "prompt_tokens": 200,
        "cached_prompt_tokens": 160,
        "share": 0.8,
        "by_role": {"target": {"prompt_tokens": 200, "cached_prompt_tokens": 160, "share": 0.8}},
    }


def test_the_metrics_count_them() -> None:
    metrics = Metrics()
    told = Usage(prompt_tokens=100, completion_tokens=5, cached_prompt_tokens=80)
    watch = ModelCallMetrics(metrics)
    watch.ended(ModelRole.TARGET, "vllm", "answered", Price().spend(told), 0.1)
    line = 'drpo_model_call_tokens_total{backend="vllm",kind="cached_input",role="target"} 80.0'
    assert line in metrics.text("")[0].decode()
