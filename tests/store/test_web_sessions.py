import pytest

from store.connections import Database
from store.errors import ConflictError
from store.repositories.keys import KeyRepository
from store.repositories.web_sessions import WebSessionRepository
from tests.store.test_keys import draft


async def test_a_session_is_found_with_its_key_as_it_is_now_until_it_ends(database: Database) -> None:
    keys, sessions = KeyRepository(database), WebSessionRepository(database)
    key = await keys.add(draft())
    await sessions.add("a", key_number=key.number, proof=None, lasts_seconds=60)
    await sessions.add("b", key_number=None, proof="p", lasts_seconds=60)
    await keys.revoke(key.id, actor="me")
    found, other = await sessions.find("a"), await sessions.find("b")
    assert found is not None
    assert found.key is not None
    assert (found.key.id, found.key.seconds_left) == (key.id, 0)
    assert other is not None
    assert (other.key, other.proof) == (None, "p")
    await sessions.end("a")
    await sessions.end("a")
    assert await sessions.find("a") is None
    assert await sessions.find("b") is not None


async def test_a_session_that_is_over_is_not_found_and_makes_room(database: Database) -> None:
    sessions = WebSessionRepository(database)
    await sessions.add("old", key_number=None, proof="p", lasts_seconds=-1)
    assert await sessions.find("old") is None
    await sessions.add("new", key_number=None, proof="p", lasts_seconds=60)
    await sessions.add("old", key_number=None, proof="p", lasts_seconds=60)  # its row was dropped
    assert await sessions.find("old") is not None


async def test_a_session_of_no_key_that_exists_is_refused(database: Database) -> None:
    with pytest.raises(ConflictError):
        await WebSessionRepository(database).add("x", key_number=999, proof=None, lasts_seconds=60)
