"""Copies are bounded, and touch nothing but counts."""

import asyncio
import dataclasses
import logging
from contextlib import aclosing

import pytest

from app.errors import invalid_request
from app.outcomes import Outcome, OutcomeFeed, ShadowCopy, Ticket
from app.release_control.shadows import Shadows
from tests.fakes import outcomes

ANSWERED = dataclasses.replace(
    outcomes.ANSWERED, caller="c", version_id="p", usage=None, key_number=1, seconds=1.0
)


class Copies:
    """Sends copies, which end when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def send(self) -> Outcome:
        self.begun += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return dataclasses.replace(ANSWERED, endpoint="shadow")

    def original(self, most: int = 2, **changes: object) -> Outcome:
        ticket = Ticket(token=b"t", copy=ShadowCopy(send=self.send, most=most))
        return dataclasses.replace(ANSWERED, ticket=ticket, **changes)  # type: ignore[arg-type]


async def until(condition: object) -> None:
    for _ in range(100):
        await asyncio.sleep(0)
        if callable(condition) and condition():
            return
    raise AssertionError("it did not come")


async def test_copies_are_sent_after_answers_and_those_beyond_the_limit_are_dropped() -> None:
    feed, copies = OutcomeFeed(), Copies()
    heard: list[Outcome] = []
    feed.listen(heard.append)
    async with aclosing(Shadows(feed)) as shadows:
        for _ in range(5):
            feed.announce(copies.original())
        feed.announce(ANSWERED)
        feed.announce(copies.original(ending="failed"))
        await until(lambda: copies.begun == 2)
        assert shadows.dropped == 3
        copies.gate.set()
        await until(lambda: [item.endpoint for item in heard].count("shadow") == 2)
        feed.announce(copies.original())
        await until(lambda: copies.begun == 3)


@pytest.mark.parametrize("error", [invalid_request("no"), RuntimeError("a bug")])
async def test_a_copy_that_fails_is_logged_and_leaves_its_place(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    feed, copies = OutcomeFeed(), Copies()
    copies.error = error
    copies.gate.set()
    async with aclosing(Shadows(feed)) as shadows:
        with caplog.at_level(logging.WARNING):
            for place in range(3):
                feed.announce(copies.original(most=1))
                await until(lambda place=place: copies.begun == place + 1 and not shadows._running["m"])
        assert "a copy of a request for m" in caplog.text
        assert shadows.dropped == 0


async def test_leaving_cancels_what_is_under_way() -> None:
    feed, copies = OutcomeFeed(), Copies()
    async with aclosing(Shadows(feed)) as shadows:
        feed.announce(copies.original())
        await until(lambda: copies.begun == 1)
    assert shadows._running["m"] == 0
