import dataclasses

from app.request_metrics import ModelRequestMetrics
from app.telemetry.metrics import Metrics
from tests.app.metrics.scraping import Scrape
from tests.app.test_outcomes import OUTCOME


def test_a_model_that_is_not_configured_makes_no_series_of_its_own() -> None:
    metrics = Metrics()
    counted = ModelRequestMetrics(metrics, ["m"])
    for model in ("m", "x1", "x2"):
        counted.hear(dataclasses.replace(OUTCOME, model=model))
    seen = Scrape(metrics.text("")[0].decode())
    assert {value for name, value in seen.labels() if name == "model"} == {"m", "other"}
    of = {"endpoint": OUTCOME.endpoint, "backend": "b", "streamed": "false", "ending": "answered"}
    assert seen.value("drpo_requests_total", model="other", **of) == 2


def test_answers_that_had_been_kept_are_counted() -> None:
    metrics = Metrics()
    counted = ModelRequestMetrics(metrics, ["m"])
    counted.hear(OUTCOME)
    assert Scrape(metrics.text("")[0].decode()).value("drpo_kept_answers_total", model="m") == 0
    counted.hear(dataclasses.replace(OUTCOME, was_kept=True))
    assert Scrape(metrics.text("")[0].decode()).value("drpo_kept_answers_total", model="m") == 1


def test_a_stream_without_a_second_token_has_no_pace() -> None:
    metrics = Metrics()
    counted = ModelRequestMetrics(metrics, ["m"])
    counted.hear(dataclasses.replace(OUTCOME, streamed=True, first_seconds=0.05))
    seen = Scrape(metrics.text("")[0].decode())
    assert seen.value("drpo_time_to_first_frame_seconds_sum", model="m") == 0.05
    assert seen.value("drpo_time_per_output_token_seconds_count", model="m") == 0
