import pytest
from sqlalchemy import text

from store.connections import Database
from store.errors import ConflictError, NotFoundError
from store.json_values import JsonObject
from store.records.keys import KeyChange, KeyDraft
from store.repositories.keys import KeyRepository

LIMITS: JsonObject = {"requests_per_minute": 5, "tokens_per_minute": None, "quotas": []}


def draft(prefix: str = "drpo_a", **fields: object) -> KeyDraft:
    usual = {"prefix": prefix, "digest": "d", "name": "n", "scopes": ("serve",), "limits": LIMITS}
    return KeyDraft(**{**usual, "created_by": "me", **fields})  # type: ignore[arg-type]


async def test_a_key_is_found_by_its_prefix_and_by_its_id(database: Database) -> None:
    keys = KeyRepository(database)
    added = await keys.add(draft(models=("a", "b/c"), note="for tests", expires_at=9e9))
    await keys.add(draft("drpo_b"))
    (found,) = await keys.by_prefix(["drpo_a", "drpo_x"])
    for record in (found, await keys.get(added.id)):
        assert (record.number, record.prefix, record.scopes, record.models) == (
            added.number,
            "drpo_a",
            ("serve",),
            ("a", "b/c"),
        )
        assert record.limits == LIMITS
        assert record.seconds_left == pytest.approx(9e9 - record.read_at)
        assert record.read_at >= record.created_at
    assert added.number > 0
    with pytest.raises(NotFoundError):
        await keys.get("key_x")


async def test_two_keys_never_share_a_prefix(database: Database) -> None:
    keys = KeyRepository(database)
    await keys.add(draft())
    with pytest.raises(ConflictError):
        await keys.add(draft())


async def test_keys_are_listed_newest_first_in_pages(database: Database) -> None:
    keys = KeyRepository(database)
    ids = [(await keys.add(draft(f"drpo_{number}"))).id for number in range(5)]
    first = await keys.list(after=None, limit=2)
    second = await keys.list(after=first[-1].id, limit=10)
    assert [record.id for record in (*first, *second)] == ids[::-1]


async def test_changes_are_in_the_audit_log_and_stay_there(database: Database) -> None:
    keys = KeyRepository(database)
    key = await keys.add(draft())
    changed = await keys.change(key.id, {"name": "other", "models": ["a"], "expires_at": None}, actor="boss")
    assert (changed.name, changed.models, changed.expires_at) == ("other", ("a",), None)
    revoked = await keys.revoke(key.id, actor="boss")
    assert revoked.seconds_left == 0
    assert (await keys.revoke(key.id, actor="again")).revoked_at == revoked.revoked_at
    log = await keys.history(key.id)
    assert [(line.change, line.actor) for line in log] == [
        (KeyChange.REVOKED, "boss"),
        (KeyChange.CHANGED, "boss"),
        (KeyChange.CREATED, "me"),
    ]
    assert log[1].fields == {"name": "other", "models": ["a"], "expires_at": None}
    assert "digest" not in log[2].fields
    for statement in (
        "UPDATE api_key_changes SET actor = 'nobody'",
        "DELETE FROM api_key_changes",
        "INSERT INTO api_key_changes (id, key_id, change, fields, actor, at)"
        " SELECT min(id), min(key_id), 'x', '{}', 'x', 1 FROM api_key_changes",
    ):
        with pytest.raises(ConflictError):
            async with database.session() as session:
                await session.execute(text(statement))


async def test_a_revoked_key_changes_no_more(database: Database) -> None:
    keys = KeyRepository(database)
    key = await keys.revoke((await keys.add(draft())).id, actor="boss")
    with pytest.raises(ConflictError, match="revoked"):
        await keys.change(key.id, {"name": "x"}, actor="boss")
    with pytest.raises(NotFoundError):
        await keys.change("key_x", {"name": "x"}, actor="boss")
    with pytest.raises(NotFoundError):
        await keys.revoke("key_x", actor="boss")
    with pytest.raises(ValueError, match="only these"):
        await keys.change(key.id, {"digest": "x"}, actor="boss")


async def test_use_is_noted_for_the_keys_that_were_used(database: Database) -> None:
    keys = KeyRepository(database)
    used, idle = await keys.add(draft()), await keys.add(draft("drpo_b"))
    await keys.touch({used.number})
    assert (await keys.get(used.id)).last_used_at is not None
    assert (await keys.get(idle.id)).last_used_at is None
