"""What has to hold for twelve jobs, whatever was done to them."""

from typing import Any, TypeAlias

from tests.chaos.cluster import Store
from tests.chaos.jobs import SEEDS

Finished: TypeAlias = dict[str, tuple[int, int, int]]
"""Finished calls: attempts, attempts of which nobody has seen the end, and the fence of the last one."""

_LEFT = "SELECT count(*) FROM optimizations WHERE status NOT IN ('succeeded', 'failed', 'cancelled')"
_DONE = "SELECT scope, key, calls, unknown_calls, fence FROM model_calls WHERE status = 'done'"


async def all_ended(store: Store) -> bool:
    """Whether no job is left."""
    return await store.number(_LEFT) == 0


async def finished_calls(store: Store) -> Finished:
    """The calls that nobody may ask for any more."""
    return {
        f"{scope}/{key}": (calls, unknown, fence)
        for scope, key, calls, unknown, fence in await store.rows(_DONE)
    }


async def assert_unharmed(store: Store, counts: dict[str, Any], finished: Finished) -> None:
    """Nothing is lost, doubled, or paid for twice without being said so."""
    endings = "SELECT count(*), count(DISTINCT optimization_id) FROM optimization_events WHERE type = "
    assert await store.rows(f"{endings}'optimization_finished'") == [(len(SEEDS), len(SEEDS))]
    gaps = (
        "SELECT optimization_id FROM optimization_events GROUP BY optimization_id"
        " HAVING min(seq) <> 1 OR max(seq) <> count(*)"
    )
    assert await store.rows(gaps) == []
    versions = (
        "SELECT optimization_id, count(*) FROM prompt_versions GROUP BY optimization_id HAVING count(*) > 1"
    )
    assert await store.rows(versions) == []

    done = await finished_calls(store)
    assert {key: done.get(key) for key in finished} == finished  # what the ledger had was not asked for again
    assert await store.rows("SELECT status, count(*) FROM model_calls GROUP BY status") == [
        ("done", len(done))
    ]
    ((calls, unknown),) = await store.rows("SELECT sum(calls), sum(unknown_calls) FROM model_calls")
    distinct = counts["arrived"] - counts["repeated"]
    assert distinct == len(done)
    # each request beyond the first is a call of which nobody has seen the end, and was said to be so
    assert counts["repeated"] <= int(unknown)
    assert int(calls) <= counts["arrived"] <= int(calls) + int(unknown)
