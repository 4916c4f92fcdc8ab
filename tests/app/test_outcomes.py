import dataclasses
import logging

import pytest

from app.outcomes import Outcome, OutcomeFeed
from tests.fakes import outcomes

OUTCOME = dataclasses.replace(
    outcomes.ANSWERED, request_id="req_1", version_id=None, finish_reason=None, usage=None
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
