"""Hearing what other processes on the same PostgreSQL database have changed: one LISTEN in each process."""

import asyncio
import logging
from typing import Final, Self

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL

from store.connections import Database, network_options
from store.hints import FOLLOWERS, WORKERS

_LOGGER = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 1.0


class HintListener:
    """Hears the hints of all processes for ``db.wakeups``. Use as ``async with HintListener(db)``.

    It has a connection of its own, outside of any pool; where that breaks it is opened again, and everybody
    is woken then. On SQLite it does nothing.
    """

    def __init__(self, db: Database, *, retry_seconds: float = _RETRY_SECONDS) -> None:
        """A listener on the database of ``db``.

        Args:
            db: whose wakeups to feed.
            retry_seconds: pause after a connection broke or could not be made.
        """
        self._db = db
        self._retry_seconds = retry_seconds
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start to listen, in the background."""
        if self._db.dialect == "postgresql":
            self._listening = asyncio.create_task(self._listen_forever(), name="hint listener")
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Stop."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    async def _listen_forever(self) -> None:
        while True:
            try:
                await self._listen()
            except (psycopg.Error, OSError) as error:
                _LOGGER.warning("other processes are not heard now, polls go on: %s", _first_line(error))
            await asyncio.sleep(self._retry_seconds)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(_address(self._db.url), autocommit=True)
        async with connection:
            for channel in (FOLLOWERS, WORKERS):
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            self._db.wakeups.notify_all()
            async for note in connection.notifies():
                self._db.wakeups.notify(note.payload, for_workers=note.channel == WORKERS)


def _address(url: URL) -> str:
    options = {name: str(value) for name, value in network_options(url).items()}
    return url.set(drivername="postgresql").update_query_dict(options).render_as_string(hide_password=False)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
