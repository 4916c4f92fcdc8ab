"""What watching costs while there is nothing to see."""

from app.access_settings import UsageSettings
from app.release_control.watch import ReleaseWatch
from store.connections import Database
from store.json_values import JsonObject
from store.repositories.feedback import FeedbackRepository
from store.repositories.prompts import PromptRepository
from store.repositories.release_counts import ReleaseCountRepository
from store.repositories.releases import ReleaseRepository
from tests.fixtures.statements import noted


async def test_nothing_is_written_and_only_what_may_be_moved_back_is_read(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    try:
        releases, prompts = ReleaseRepository(database), PromptRepository(database)
        watch = ReleaseWatch(
            *(releases, ReleaseCountRepository(database), FeedbackRepository(database), prompts),
            UsageSettings(),
            on_moved=lambda _: None,
        )
        await releases.put("newer", {"rollback": {"min_requests": "the moon"}}, actor="ann")
        policies: tuple[tuple[JsonObject, bool], ...] = (({}, False), ({"rollback": {}}, True))
        for policy, is_read in policies:
            await releases.put("m", policy, actor="ann")
            with noted() as statements:
                await watch.look()
            asked = [statement for statement, _ in statements]
            assert "BEGIN IMMEDIATE" not in asked
            assert any("FROM release_counts" in item for item in asked) is is_read
            moves = [item for item in asked if "FROM label_moves" in item]
            assert ["LIMIT" in item for item in moves] == [True] * is_read
        await releases.suspect("m", 5, "candidate")
        await watch.look()
        (view, _) = await releases.views()
        assert view.release.suspect_since is None
    finally:
        await database.close()
