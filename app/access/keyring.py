"""Stored API keys, in memory: a request rarely waits for the database, and a revoked key soon fails."""

import asyncio
import hmac
import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.access.key_limits import KeyLimits
from app.access.key_text import digest_of, prefix_of
from app.access.principal import Principal, Scope
from app.background import BackgroundLoop
from app.clocks import awake_or_asleep
from optimizer.shared_calls import SharedCalls
from store.errors import StoreUnavailableError
from store.records.keys import KeyRecord
from store.repositories.keys import KeyRepository

_LOGGER = logging.getLogger(__name__)
_CAPACITY: Final = 10_000
_PATIENCE_SECONDS: Final = 2.0
"""How long a request waits for a newer reading of its key while there is an older one to go on with."""
_QUERY_SIZE: Final = 500


class KeyProblem(StrEnum):
    """Why a text opens nothing."""

    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held:
    """What is known about one text.

    Attributes:
        found: whom it stands for, or why nobody.
        read_at / epoch: clock, and the count of changes known of, when the reading began.
        good_until: clock at the key's expiry.
    """

    found: Principal | KeyProblem
    read_at: float
    epoch: int
    good_until: float = math.inf


class KeyRing:
    """Finds the principal behind a key. Use as ``async with KeyRing(...)``.

    Keys that were used are read again together once they are ``refresh_seconds`` old: by one request, while
    others go on with what is known for as long again. So a change elsewhere holds here after twice that time.
    While the database is away what was read last holds for ``offline_seconds``.
    """

    def __init__(
        self,
        keys: KeyRepository,
        *,
        refresh_seconds: float = 1.0,
        offline_seconds: float = 60.0,
        touch_seconds: float = 10.0,
        clock: Callable[[], float] = awake_or_asleep,
    ) -> None:
        """Nothing is read yet.

        Args:
            keys: where keys are stored.
            refresh_seconds: age at which a key is read again.
            offline_seconds: greatest age of what is believed while the database is away.
            touch_seconds: how often the store is told which keys were used.
            clock: monotonic seconds that go on while the machine sleeps: periods and expiries do, too.
        """
        self._keys = keys
        self._refresh_seconds = refresh_seconds
        self._offline_seconds = offline_seconds
        self._touch_seconds = touch_seconds
        self._clock = clock
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._wanted: dict[str, str] = {}
        self._batch = 0
        self._reading = False
        self._readings: SharedCalls[int, None] = SharedCalls()
        self._epoch = 0
        self._used: set[int] = set()

    def in_background(self) -> BackgroundLoop:
        """Noting which keys are used, now and then and at the end."""
        return BackgroundLoop(
            "use of API keys", self.touch, every_seconds=self._touch_seconds, last=self.touch
        )

    async def find(self, text: str) -> Principal | KeyProblem:
        """Whom ``text`` stands for.

        Raises:
            StoreUnavailableError: the database is away, and nothing recent is known about this text.
        """
        prefix = prefix_of(text)
        if prefix is None:
            return KeyProblem.UNKNOWN
        digest = digest_of(text)
        held = self._held.get(digest)
        self._wanted[digest] = prefix
        if held is None or self._age(held) >= self._refresh_seconds:
            held = await self._newer(digest, prefix, held)
        found = held.found
        if isinstance(found, KeyProblem):
            return found
        if self._clock() >= held.good_until:
            return KeyProblem.EXPIRED
        self._used.add(found.key_number)
        return found

    def forget(self) -> None:
        """Believe nothing that was read until now: a key was changed."""
        self._epoch += 1
        self._held.clear()

    async def touch(self) -> None:
        """Tell the store which keys were used since the last time.

        Raises:
            StoreUnavailableError: the database is away; nothing is lost.
        """
        used, self._used = self._used, set()
        if not used:
            return
        try:
            await self._keys.touch(used)
        except BaseException:
            self._used |= used
            raise

    def _age(self, held: _Held) -> float:
        return math.inf if held.epoch != self._epoch else self._clock() - held.read_at

    async def _newer(self, digest: str, prefix: str, held: _Held | None) -> _Held:
        age = math.inf if held is None else self._age(held)
        if held is not None and self._reading and age < 2 * self._refresh_seconds:
            return held
        try:
            async with asyncio.timeout(None if held is None else _PATIENCE_SECONDS):
                return await self._read_until_known(digest, prefix)
        except (StoreUnavailableError, TimeoutError) as error:
            if held is None or age >= self._offline_seconds:
                raise StoreUnavailableError(str(error)) from error
            _LOGGER.warning("API keys cannot be read, what is known is believed: %s", error)
            return held

    async def _read_until_known(self, digest: str, prefix: str) -> _Held:
        while True:
            self._wanted[digest] = prefix
            batch = self._batch
            await self._readings.run(batch, self._read)
            held = self._held.get(digest)
            # a reading that began before a change may not have seen it
            if held is not None and self._age(held) < self._refresh_seconds:
                return held

    async def _read(self) -> None:
        """Read all keys that were asked for since the last reading."""
        epoch, began = self._epoch, self._clock()
        wanted, self._wanted = self._wanted, {}
        self._batch += 1  # whoever asks from now on is not part of this reading
        self._reading = True
        try:
            records: dict[str, KeyRecord] = {}
            prefixes = list(set(wanted.values()))
            for start in range(0, len(prefixes), _QUERY_SIZE):
                found = await self._keys.by_prefix(prefixes[start : start + _QUERY_SIZE])
                records |= {record.prefix: record for record in found}
        finally:
            self._reading = False
        for digest, prefix in wanted.items():
            self._held[digest] = _judged(digest, records.get(prefix), began, epoch)
            self._held.move_to_end(digest)
        while len(self._held) > _CAPACITY:
            self._held.popitem(last=False)


def _judged(digest: str, record: KeyRecord | None, began: float, epoch: int) -> _Held:
    if record is None or not hmac.compare_digest(record.digest, digest):
        return _Held(found=KeyProblem.UNKNOWN, read_at=began, epoch=epoch)
    if record.revoked_at is not None:
        return _Held(found=KeyProblem.REVOKED, read_at=began, epoch=epoch)
    left = record.seconds_left
    good_until = math.inf if left is None else began + left
    return _Held(found=principal_of(record), read_at=began, epoch=epoch, good_until=good_until)


def principal_of(record: KeyRecord) -> Principal:
    """Whom a stored key stands for."""
    return Principal(
        name=record.id,
        scopes=frozenset(Scope(scope) for scope in record.scopes),
        models=None if record.models is None else frozenset(record.models),
        key_number=record.number,
        limits=KeyLimits.from_json(record.limits),
    )
