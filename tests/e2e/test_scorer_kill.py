"""A service that is killed asks the user's own scorer for no finished score a second time."""

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from store.connections import Database
from tests.app.jobs.service import job, open_service, outcome
from tests.e2e.test_kill import end_of, provider, service, write_settings
from tests.fakes.openai_server import Answer, Exchange, Reply, serve

KILLS = (9, 30)
"""Requests of the job to the models at which the service is killed: in the search, and in the gate."""


def by_length(exchange: Exchange) -> Reply:
    return Answer(
        body={"score": 1 + len(str(exchange.body["answer"])) % 5, "rationale": "by its length alone"}
    )


async def finished_scores(database: Database) -> int:
    """Scores of the user's own scorer in the call ledger."""
    async with database.read() as session:
        rows = await session.execute(
            text("SELECT count(*) FROM model_calls WHERE role = 'scorer' AND status = 'done'")
        )
        return int(rows.scalar_one())


async def finished_calls(database: Database) -> int:
    """Answers of models in the call ledger."""
    async with database.read() as session:
        rows = await session.execute(
            text("SELECT count(*) FROM model_calls WHERE role <> 'scorer' AND status = 'done'")
        )
        return int(rows.scalar_one())


@pytest.mark.slow
async def test_a_killed_service_repeats_no_finished_score_and_finds_the_same(
    database_url: str, database: Database, tmp_path: Path, other_sqlite_url: str
) -> None:
    config, path = tmp_path / "drpo.toml", ""
    async with provider() as counters, serve() as scorer:
        scorer.script = by_length
        rewards = {"http": {"url": scorer.url.removesuffix("/v1"), "name": "Tone", "weight": 2}}
        write_settings(config, database_url, str(counters.base_url).rstrip("/"))
        for number in KILLS:
            before = int((await counters.get("/counts")).json()["arrived"])
            asked = len(scorer.requests)
            done = await finished_scores(database)
            await counters.post(f"/hold/{before + number - await finished_calls(database)}")
            async with service(config) as (process, client):
                if not path:
                    response = await client.post("/v1/optimizations", json=job(rewards=rewards))
                    path = f"/v1/optimizations/{response.json()['id']}"
                await counters.get("/held")
                await process.kill()
            unseen = len(scorer.requests) - asked - (await finished_scores(database) - done)
            assert unseen >= 0
            await counters.post("/release")

        asked, done = len(scorer.requests), await finished_scores(database)
        assert done > 0
        async with service(config) as (process, client):
            await end_of(client, path)
            found = (await client.get(path)).json()
            assert await process.terminate() == 0
        assert found["status"] == "succeeded"
        assert len(scorer.requests) - asked == await finished_scores(database) - done
        repeats = Counter(str(exchange.body) for exchange in scorer.requests)
        assert sum(repeats.values()) - len(repeats) <= found["usage"]["unknown_calls"]
        assert found["usage"]["by_role"]["scorer"]["prompt_tokens"] == 0

        async with open_service(database_url, jobs={"max_running": 0}) as again:
            after_kills = await outcome(again, path.rpartition("/")[2])
        async with open_service(other_sqlite_url) as undisturbed:
            assert after_kills == await outcome(undisturbed, (await undisturbed.run(rewards=rewards))["id"])
