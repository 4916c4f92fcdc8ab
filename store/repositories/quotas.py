"""What has been drawn from the quotas of API keys: never more than there is, whoever draws beside whom."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from store.clock import db_now
from store.connections import Database
from store.models.quota_use import QuotaUse
from store.records.usage import Amounts, QuotaDraw, QuotaLimits, QuotaRefusal, QuotaWindow

_NAMES: Final = ("requests", "tokens", "micros")
_SHARE: Final = 16
"""A draw takes what it needs, and of the rest at most this part: others draw from it as well."""


class QuotaRepository:
    """Counts what was drawn. A process draws before it spends, and gives back what it has not spent."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def now(self) -> float:
        """The database's clock, in seconds since 1970."""
        async with self._db.read() as session:
            return (await session.execute(select(db_now()))).scalar_one()

    async def draw(self, draws: Sequence[QuotaDraw]) -> tuple[Amounts, ...] | QuotaRefusal:
        """Take from all windows of one key together, or from none.

        Returns:
            What was taken from each, at least what is needed; or the first window that has not enough left.
        """
        return await self._db.write(lambda connection: self._draw(connection, draws))

    async def give_back(self, returns: Sequence[tuple[QuotaWindow, Amounts]]) -> None:
        """Put back what was drawn and not spent; negative amounts were spent and not drawn."""
        # in one order everywhere, so that two processes never wait for each other
        ordered = sorted(returns, key=lambda item: (item[0].key_number, item[0].period, item[0].starts_at))

        def work(connection: Connection) -> None:
            for window, amounts in ordered:
                self._add(connection, window, -amounts)

        await self._db.write(work)

    async def used(self, window: QuotaWindow) -> Amounts:
        """What was drawn from a window so far."""
        return await self._db.fetch(lambda connection: _used(connection, window))

    async def delete_before(self, moment: int) -> None:
        """Forget windows that began before ``moment`` and start again some time."""

        def work(connection: Connection) -> None:
            old = (QuotaUse.starts_at < moment) & (QuotaUse.starts_at > 0)
            connection.execute(delete(QuotaUse).where(old))

        await self._db.write(work)

    def _draw(self, connection: Connection, draws: Sequence[QuotaDraw]) -> tuple[Amounts, ...] | QuotaRefusal:
        taken = []
        for draw in sorted(draws, key=lambda draw: draw.window.period):
            self._add(connection, draw.window, Amounts())  # locks the row, and makes a missing one
            found = _granted(draw.limits, _used(connection, draw.window), draw.need, draw.wish)
            if isinstance(found, str):
                return QuotaRefusal(window=draw.window, of=found)
            taken.append((draw.window, found))
        for window, amounts in taken:
            self._add(connection, window, amounts)
        by_window = dict(taken)
        return tuple(by_window[draw.window] for draw in draws)

    def _add(self, connection: Connection, window: QuotaWindow, amounts: Amounts) -> None:
        key = {"key_number": window.key_number, "period": window.period, "starts_at": window.starts_at}
        new = {name: getattr(amounts, name) for name in _NAMES}
        insert = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
        statement = insert(QuotaUse).values(**key, **new)
        sums = {name: getattr(QuotaUse, name) + new[name] for name in _NAMES}
        connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=sums))


def _used(connection: Connection, window: QuotaWindow) -> Amounts:
    statement = select(QuotaUse.requests, QuotaUse.tokens, QuotaUse.micros).where(
        QuotaUse.key_number == window.key_number,
        QuotaUse.period == window.period,
        QuotaUse.starts_at == window.starts_at,
    )
    row = connection.execute(statement).one_or_none()
    return Amounts() if row is None else Amounts(requests=row[0], tokens=row[1], micros=row[2])


def _granted(limits: QuotaLimits, used: Amounts, need: Amounts, wish: Amounts) -> Amounts | str:
    granted = {}
    for name in _NAMES:
        limit, needed = getattr(limits, name), getattr(need, name)
        if limit is None:
            granted[name] = needed
            continue
        left = limit - getattr(used, name)
        if needed > max(left, 0):
            return name
        spare = min(getattr(wish, name) - needed, (left - needed) // _SHARE)
        granted[name] = needed + max(0, spare)
    return Amounts(**granted)
