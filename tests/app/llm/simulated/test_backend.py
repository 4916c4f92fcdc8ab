"""Faults and latency, decided before any carrier comes in."""

import json
from collections import Counter

import pytest

from app.backend_settings import SimulatedFaults, SimulatedSettings
from app.llm.simulated import backend
from app.llm.simulated.backend import Reply, SimulatedBackend
from tests.app.llm.simulated.messages import chat, judge_message, judge_system

PATH = "/v1/chat/completions"
CRITIC = "simulated-critic"


def _body(index: int = 0, **fields: object) -> bytes:
    return json.dumps(chat("simulated-small", ("user", f"Why does bread rise? {index}"), **fields)).encode()


def _backend(
    faults: dict[str, float] | None = None,
    *,
    seed: int = 0,
    latency_ms: float = 0,
    latency_jitter: float = 0,
) -> SimulatedBackend:
    settings = SimulatedSettings(
        seed=seed,
        latency_ms=latency_ms,
        latency_jitter=latency_jitter,
        faults=SimulatedFaults.model_validate(faults or {}),
    )
    return SimulatedBackend(settings)


def _outcome(reply: Reply) -> tuple[int, bool, bytes]:
    return reply.status, reply.lost, b"".join(reply.frames)


def test_without_faults_nothing_fails() -> None:
    served = _backend()
    assert all(served.answer("POST", PATH, _body(index)).status == 200 for index in range(50))


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [("rate_limited", {429}), ("server_error", {500, 502, 503, 504}), ("connection_lost", {0})],
)
def test_a_fault_comes_as_often_as_it_is_set_and_a_retry_can_succeed(fault: str, statuses: set[int]) -> None:
    served = _backend({fault: 0.3})
    first = [served.answer("POST", PATH, _body(index)).status for index in range(200)]
    assert 0.2 < sum(status in statuses for status in first) / 200 < 0.4
    assert set(first) <= statuses | {200}
    failed = [index for index, status in enumerate(first) if status != 200]
    again = [served.answer("POST", PATH, _body(index)).status for index in failed]
    assert again.count(200) > len(failed) / 2


def test_faults_are_the_same_for_a_seed_in_any_order_of_requests() -> None:
    def outcomes(seed: int, order: list[int]) -> dict[int, tuple[int, bool, bytes]]:
        names = ("rate_limited", "server_error", "malformed_response", "connection_lost")
        served = _backend(dict.fromkeys(names, 0.2), seed=seed)
        return {index: _outcome(served.answer("POST", PATH, _body(index))) for index in order}

    forward = list(range(60))
    assert outcomes(0, forward) == outcomes(0, forward[::-1])
    assert outcomes(0, forward) != outcomes(1, forward)


def test_too_many_requests_come_with_the_time_to_wait() -> None:
    reply = _backend({"rate_limited": 1}).answer("POST", PATH, _body())
    assert dict(reply.headers)["retry-after"] == "0"
    assert json.loads(reply.frames[0])["error"]["code"] == "rate_limit_exceeded"


def test_server_errors_come_as_envelopes_and_as_pages() -> None:
    served = _backend({"server_error": 1})
    kinds = Counter(
        dict(served.answer("POST", PATH, _body(index)).headers)["content-type"] for index in range(30)
    )
    assert set(kinds) == {"text/html", "application/json"}


def test_a_malformed_response_is_not_the_protocol() -> None:
    served = _backend({"malformed_response": 1})
    for index in range(30):
        body = b"".join(served.answer("POST", PATH, _body(index)).frames)
        try:
            value = json.loads(body)
        except ValueError:
            continue
        assert not (isinstance(value, dict) and "choices" in value)


def test_a_malformed_reply_is_well_formed_on_the_outside_and_varies() -> None:
    served = _backend({"malformed_reply": 1})
    texts = set()
    for index in range(40):
        message = judge_message(f"An answer, number {index}.", {"Clarity": "how", "Depth": "how"})
        body = json.dumps(chat(CRITIC, ("system", judge_system()), ("user", message))).encode()
        text = json.loads(served.answer("POST", PATH, body).frames[0])["choices"][0]["message"]["content"]
        sound = _read(text)
        assert sound is None or "scores" not in sound or "n/a" in text
        texts.add(text[:30])
    assert len(texts) >= 4


def _read(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    assert isinstance(value, dict)
    return value


def test_a_broken_stream_has_no_end_and_some_break_the_connection() -> None:
    served = _backend({"broken_stream": 1})
    replies = [served.answer("POST", PATH, _body(index, stream=True)) for index in range(30)]
    assert all(reply.frames and b"[DONE]" not in b"".join(reply.frames) for reply in replies)
    assert {reply.lost for reply in replies} == {True, False}
    assert not served.answer("POST", PATH, _body()).lost


def test_latency_varies_around_its_mean_by_its_jitter() -> None:
    served = _backend(latency_ms=100, latency_jitter=0.5)
    delays = [served.answer("POST", PATH, _body(index)).delay for index in range(200)]
    assert 0.05 <= min(delays) < 0.06
    assert 0.14 < max(delays) <= 0.15
    assert sum(delays) / 200 == pytest.approx(0.1, rel=0.05)


def test_a_stream_takes_as_long_as_a_whole_response() -> None:
    served = _backend(latency_ms=100)
    reply = served.answer("POST", PATH, _body(stream=True))
    assert reply.delay + reply.frame_delay * len(reply.frames) == pytest.approx(0.1)


def test_the_count_of_arrivals_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_REMEMBERED", 3)
    served = _backend()
    for index in range(10):
        served.answer("POST", PATH, _body(index))
    assert len(served._arrivals) == 3
