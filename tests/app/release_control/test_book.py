"""Releases in memory: as the store has them, and never too old."""

import pytest

from app.errors import ApiError
from app.release_control.book import ReleaseBook
from app.serving_settings import ChatSettings
from store.connections import Database
from store.errors import StoreUnavailableError
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
    await book.refresh()
    assert (book.plan("m"), book.plan("n") is None) == (None, False)
    assert "the release of m is ignored" in caplog.text
