"""Releases in memory: as the store has them, and never too old."""

import asyncio

import pytest
from typing_extensions import override

from app.errors import ApiError
from app.release_control.book import ReleaseBook
from app.release_control.plan import Plan
from app.serving_settings import ChatSettings
from store.connections import Database
from store.errors import StoreUnavailableError
from store.records.releases import ArmKey, ArmTally, ReleaseView
from store.repositories.release_counts import ReleaseCountRepository
from store.repositories.releases import ReleaseRepository
from tests.app.access.clock import Clock


async def test_a_release_that_is_too_old_is_not_served(database: Database) -> None:
    releases, clock = ReleaseRepository(database), Clock()
    await releases.put("m", {"canary": {"label": "candidate", "weight": 0.5}}, actor="ann")
    settings = ChatSettings(max_stale_seconds=60)
    book = ReleaseBook(releases, ReleaseCountRepository(database), settings, clock=clock)
    assert book.plan("m") is None
    await book.refresh()
    clock.now += 60
    assert book.plan("m") is not None
    clock.now += 0.1
    with pytest.raises(ApiError) as refused:
        book.plan("m")
    assert (refused.value.answer.status, refused.value.answer.code) == (503, "labels_stale")
    assert book.plan("other") is None
    await book.refresh()
    assert book.plan("m") is not None


async def test_what_was_known_stays_while_the_database_is_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = ReleaseRepository(database)
    await releases.put("m", {}, actor="ann")
    book = ReleaseBook(releases, ReleaseCountRepository(database), ChatSettings())
    await book.refresh()

    async def away() -> None:
        raise StoreUnavailableError("gone")

    monkeypatch.setattr(releases, "views", away)
    with pytest.raises(StoreUnavailableError):
        await book.refresh()
    assert book.plan("m") is not None


async def test_a_policy_of_a_newer_version_is_ignored(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    releases = ReleaseRepository(database)
    await releases.put("m", {"sticky": "the moon"}, actor="ann")
    await releases.put("n", {}, actor="ann")
    book = ReleaseBook(releases, ReleaseCountRepository(database), ChatSettings())
    for _ in range(2):
        await book.refresh()
        assert (book.plan("m"), book.plan("n") is None) == (None, False)
        assert caplog.text.count("the release of m is ignored") == 1
    await releases.put("m", {"sticky": "the sun"}, actor="ann")
    await book.refresh()
    assert caplog.text.count("the release of m is ignored") == 2


async def test_what_a_newer_version_has_added_is_left_out(database: Database) -> None:
    releases = ReleaseRepository(database)
    await releases.put("m", {"canary": {"weight": 0.5, "colour": "red"}, "new": 1}, actor="ann")
    book = ReleaseBook(releases, ReleaseCountRepository(database), ChatSettings())
    await book.refresh()
    assert [arm.label for arm in _plan(book).arms] == ["production"]
    assert _plan(book).policy.canary is not None


class SlowReleases(ReleaseRepository):
    """Holds a reading back while there is a gate."""

    gate: asyncio.Event | None = None
    has_read: asyncio.Event

    @override
    async def views(self, model: str | None = None) -> tuple[ReleaseView, ...]:
        found = await super().views(model)
        if self.gate is not None:
            gate, self.gate = self.gate, None
            self.has_read.set()
            await gate.wait()
        return found


async def test_an_older_reading_does_not_hide_a_newer_one(database: Database) -> None:
    releases = SlowReleases(database)
    await releases.put("m", {"canary": {"weight": 0.1}}, actor="ann")
    book = ReleaseBook(releases, ReleaseCountRepository(database), ChatSettings())
    gate = releases.gate = asyncio.Event()
    releases.has_read = asyncio.Event()
    older = asyncio.create_task(book.refresh())
    await releases.has_read.wait()
    await releases.put("m", {"canary": {"weight": 0.9}}, actor="ann")
    await book.refresh()
    gate.set()
    await older
    canary = _plan(book).policy.canary
    assert canary is not None
    assert canary.weight == 0.9


async def test_a_plan_is_made_anew_only_where_something_has_changed(database: Database) -> None:
    releases, counts = ReleaseRepository(database), ReleaseCountRepository(database)
    made = await releases.put("m", {"bandit": {"labels": ["b"], "reward": "success"}}, actor="ann")
    book = ReleaseBook(releases, counts, ChatSettings())
    await book.refresh()
    first = _plan(book)
    await book.refresh()
    assert _plan(book) is first
    stretch = int(made.release.changed_at * 1_000_000)
    await counts.add({ArmKey(model="m", stretch=stretch, arm="b", version_id="v"): ArmTally(requests=1)})
    await book.refresh()
    assert _plan(book) is not first


def _plan(book: ReleaseBook) -> Plan:
    plan = book.plan("m")
    assert plan is not None
    return plan
