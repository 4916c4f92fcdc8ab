"""Keys in memory: soon stale, quickly forgotten, and useful while the database is away."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection

import pytest
from typing_extensions import override

from app.access.key_limits import KeyLimits, Period, Quota
from app.access.key_text import new_key
from app.access.keyring import KeyProblem, KeyRing
from app.access.principal import Principal, Scope
from store.connections import Database
from store.errors import StoreUnavailableError
from store.records.keys import KeyRecord
from store.repositories.keys import KeyRepository
from tests.app.access.clock import Clock
from tests.app.access.stored_keys import add_key


async def until(condition: Callable[[], bool]) -> None:
    """Let others go on until ``condition`` holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.001)


class CountedKeys(KeyRepository):
    """Counts readings; away when told so, and held up while ``gate`` is closed."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.readings: list[int] = []
        self.touched: list[int] = []
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    @override
    async def by_prefix(self, prefixes: Collection[str]) -> tuple[KeyRecord, ...]:
        self.readings.append(len(prefixes))
        if self.away:
            raise StoreUnavailableError("gone")
        found = await super().by_prefix(prefixes)
        await self.gate.wait()
        return found

    @override
    async def touch(self, numbers: Collection[int]) -> None:
        if self.away:
            raise StoreUnavailableError("gone")
        self.touched += sorted(numbers)
        await super().touch(numbers)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(sqlite_url: str) -> AsyncIterator[CountedKeys]:
    db = Database(sqlite_url)
    yield CountedKeys(db)
    await db.close()


@pytest.fixture
def ring(keys: CountedKeys, clock: Clock) -> KeyRing:
    return KeyRing(keys, refresh_seconds=1, offline_seconds=60, clock=clock)


async def test_a_key_stands_for_what_is_stored_about_it(keys: CountedKeys, ring: KeyRing) -> None:
    limits = KeyLimits(requests_per_minute=5, quotas=(Quota(period=Period.DAY, cost=1.5),))
    key, record = await add_key(keys, "serve", "optimize", models=("a",), limits=limits)
    assert await ring.find(key) == Principal(
        name=record.id,
        scopes=frozenset({Scope.SERVE, Scope.OPTIMIZE}),
        models=frozenset({"a"}),
        key_number=record.number,
        limits=limits,
    )


async def test_forged_keys_open_nothing(keys: CountedKeys, ring: KeyRing) -> None:
    key, _ = await add_key(keys)
    for forged in (new_key(), key[:-2] + ("AA" if key[-2:] != "AA" else "BB"), key.upper(), "", "sk-x"):
        assert await ring.find(forged) is KeyProblem.UNKNOWN
    # what has no key's form costs no reading
    assert len(keys.readings) == 2


async def test_a_key_expires_also_while_the_machine_sleeps(
    keys: CountedKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 100.0
    monkeypatch.setattr("app.clocks.time.clock_gettime", lambda _: seconds)
    ring = KeyRing(keys, refresh_seconds=1000)
    key, _ = await add_key(keys, expires_at=time.time() + 100)
    assert isinstance(await ring.find(key), Principal)
    seconds += 101
    assert await ring.find(key) is KeyProblem.EXPIRED


async def test_a_key_in_use_is_read_once_in_a_while(keys: CountedKeys, ring: KeyRing, clock: Clock) -> None:
    key, _ = await add_key(keys)
    for _ in range(3):
        await ring.find(key)
    assert len(keys.readings) == 1
    clock.now += 1
    await ring.find(key)
    assert len(keys.readings) == 2


async def test_all_keys_that_were_used_are_read_together(
    keys: CountedKeys, ring: KeyRing, clock: Clock
) -> None:
    several = [(await add_key(keys))[0] for _ in range(4)]
    for key in several:
        await ring.find(key)
    clock.now += 0.5
    for key in several:
        await ring.find(key)
    clock.now += 0.5
    keys.readings.clear()
    for key in several:
        await ring.find(key)
    assert keys.readings == [4]


async def test_who_asks_at_the_same_time_shares_a_reading(keys: CountedKeys, ring: KeyRing) -> None:
    key, _ = await add_key(keys)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ring.find(key)) for _ in range(20)]
    assert all(isinstance(task.result(), Principal) for task in tasks)
    assert len(keys.readings) == 1


async def test_a_key_that_was_revoked_elsewhere_fails_within_twice_the_refreshing_time(
    keys: CountedKeys, ring: KeyRing, clock: Clock
) -> None:
    key, record = await add_key(keys)
    await ring.find(key)
    await keys.revoke(record.id, actor="elsewhere")
    clock.now += 0.9
    assert isinstance(await ring.find(key), Principal)
    clock.now += 0.1
    assert await ring.find(key) is KeyProblem.REVOKED


async def test_others_go_on_with_a_key_while_it_is_read_again_but_not_for_long(
    keys: CountedKeys, ring: KeyRing, clock: Clock
) -> None:
    key, record = await add_key(keys)
    await ring.find(key)
    await keys.revoke(record.id, actor="elsewhere")
    keys.gate.clear()
    clock.now += 1
    first = asyncio.create_task(ring.find(key))
    await until(lambda: len(keys.readings) == 2)
    assert isinstance(await ring.find(key), Principal)
    clock.now += 1
    last = asyncio.create_task(ring.find(key))
    await asyncio.sleep(0)
    assert not last.done()
    keys.gate.set()
    assert await first is KeyProblem.REVOKED
    assert await last is KeyProblem.REVOKED


async def test_a_change_in_this_process_holds_at_once_also_against_a_reading_under_way(
    keys: CountedKeys, ring: KeyRing
) -> None:
    key, record = await add_key(keys)
    keys.gate.clear()
    asking = asyncio.create_task(ring.find(key))
    # whether the reading has seen the key as it was or not: both are right
    await until(lambda: bool(keys.readings))
    await keys.revoke(record.id, actor="here")
    ring.forget()
    keys.gate.set()
    assert await asking is KeyProblem.REVOKED
    assert await ring.find(key) is KeyProblem.REVOKED


async def test_an_expired_key_fails_by_the_database_s_clock(
    keys: CountedKeys, ring: KeyRing, clock: Clock
) -> None:
    _, record = await add_key(keys)
    past, _ = await add_key(keys, expires_at=record.read_at - 1)
    soon, _ = await add_key(keys, expires_at=record.read_at + 1000.5)
    assert await ring.find(past) is KeyProblem.EXPIRED
    assert isinstance(await ring.find(soon), Principal)
    clock.now += 1001
    keys.away = True  # what is known about it says when it ends
    with pytest.raises(StoreUnavailableError):
        await ring.find(soon)


async def test_a_key_in_use_goes_on_while_the_database_is_away_but_not_for_ever(
    keys: CountedKeys, ring: KeyRing, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    key, _ = await add_key(keys)
    await ring.find(key)
    keys.away = True
    clock.now += 59
    with caplog.at_level(logging.WARNING):
        assert isinstance(await ring.find(key), Principal)
    assert "API keys cannot be read" in caplog.text
    assert key not in caplog.text
    with pytest.raises(StoreUnavailableError):
        await ring.find(new_key())
    clock.now += 1
    with pytest.raises(StoreUnavailableError):
        await ring.find(key)
    keys.away = False
    assert isinstance(await ring.find(key), Principal)


async def test_forged_keys_do_not_fill_the_memory(
    keys: CountedKeys, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.access.keyring._CAPACITY", 3)
    key, _ = await add_key(keys)
    for _ in range(9):
        await ring.find(new_key())
    assert isinstance(await ring.find(key), Principal)
    assert len(ring._held) == 3
    keys.away = True
    for _ in range(9):
        with pytest.raises(StoreUnavailableError):
            await ring.find(new_key())
    assert len(ring._wanted) <= 1


async def test_use_is_noted_together_and_later(keys: CountedKeys, ring: KeyRing) -> None:
    key, record = await add_key(keys)
    other, other_record = await add_key(keys)
    async with ring.in_background():
        for text in (key, key, other):
            await ring.find(text)
        assert keys.touched == []
        keys.away = True
        with pytest.raises(StoreUnavailableError):
            await ring.touch()
        keys.away = False
    assert keys.touched == [record.number, other_record.number]
    await ring.touch()
    assert len(keys.touched) == 2


async def test_noting_goes_on_after_a_failure(
    keys: CountedKeys, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    _, record = await add_key(keys)
    keys.away = True
    ring = KeyRing(keys, touch_seconds=0.001, clock=clock)
    async with ring.in_background():
        ring._used.add(record.number)
        await until(lambda: "use of API keys: waiting for the store" in caplog.text)
        keys.away = False
        await until(lambda: bool(keys.touched))
    assert set(keys.touched) == {record.number}
