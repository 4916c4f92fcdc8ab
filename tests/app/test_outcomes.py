import logging

import pytest

from app.outcomes import Outcome, OutcomeFeed
from optimizer.types import Usage

OUTCOME = Outcome(
    request_id="req_1",
    caller="local",
    endpoint="/v1/chat/completions",
    model="m",
    backend="b",
    upstream_model="u",
    version_id=None,
    streamed=False,
    ending="answered",
    error_code=None,
    finish_reason=None,
    usage=None,
    key_number=0,
    counted=Usage(),
    estimated=False,
    micros=0,
    first_seconds=None,
    seconds=0.1,
)


def test_everybody_hears_of_an_outcome_though_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Outcome] = []

    def fails(_: Outcome) -> None:
        raise ValueError("broken")

    feed = OutcomeFeed()
    feed.announce(OUTCOME)
    feed.listen(fails)
    feed.listen(heard.append)
    with caplog.at_level(logging.ERROR):
        feed.announce(OUTCOME)
    assert heard == [OUTCOME]
    assert "req_1 was lost to a listener" in caplog.text
