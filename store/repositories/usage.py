"""Rows of served requests, and their sums by day: written in batches, small, and dropped after a time."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Final, TypeVar

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from store.clock import db_now
from store.connections import Database
from store.models.api_key import ApiKey
from store.models.served_request import ServedRequest
from store.models.served_route import ServedRoute
from store.models.usage_day import UsageDay
from store.records.usage import (
    RequestRecord,
    RouteRecord,
    UsageDelta,
    UsageGroup,
    UsageRow,
    UsageSums,
)
from store.statements import Statement

_DAY_SECONDS: Final = 86_400
_BATCH: Final = 1000
_ROUTES: Final = 10_000
_SUMS: Final = tuple(UsageSums.__dataclass_fields__)
_SUMS_KEY: Final = ("day", "key_number", "route_id")
_UpsertT = TypeVar("_UpsertT", postgresql.Insert, sqlite.Insert)


def _add_to_sums(insert_into: Callable[[type[UsageDay]], _UpsertT]) -> _UpsertT:
    new = insert_into(UsageDay)
    both = {name: getattr(UsageDay, name) + getattr(new.excluded, name) for name in _SUMS}
    return new.on_conflict_do_update(index_elements=list(_SUMS_KEY), set_=both)


# Statements are built once: there is a batch every second, and requests wait for the interpreter meanwhile.
_NOW: Final = Statement(select(db_now()))
_ADD_ROWS: Final = Statement(
    insert(ServedRequest),
    columns=[column.name for column in ServedRequest.__table__.columns if not column.primary_key],
)
_ADD_SUMS: Final = Statement(
    _add_to_sums(postgresql.insert), on_sqlite=_add_to_sums(sqlite.insert), columns=(*_SUMS_KEY, *_SUMS)
)


class UsageRepository:
    """Stores what was served."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._routes: dict[RouteRecord, int] = {}

    async def add(self, requests: Sequence[RequestRecord], deltas: Sequence[UsageDelta]) -> None:
        """Store rows, and add to the sums of their days, in one transaction."""

        def work(connection: Connection) -> dict[RouteRecord, int]:
            now = _NOW.scalar(connection, {})
            routes = self._route_ids(
                connection, [request.route for request in requests] + [delta.route for delta in deltas]
            )
            _ADD_ROWS.execute(connection, [_row(request, now, routes[request.route]) for request in requests])
            # in one order everywhere, or two processes could wait for each other
            ordered = sorted(deltas, key=lambda delta: (delta.key_number, routes[delta.route]))
            _ADD_SUMS.execute(connection, [_sums_row(delta, now, routes[delta.route]) for delta in ordered])
            return routes

        # known only from here on: the transaction has not been rolled back
        self._routes = await self._db.write(work)

    async def report(
        self, groups: Iterable[UsageGroup], *, since: int, until: int, key_number: int | None, limit: int
    ) -> tuple[UsageRow, ...]:
        """Sums of the days from ``since`` to ``until``, both included, newest day first.

        Args:
            groups: what to keep apart.
            since: first day, counted from 1970.
            until: last day.
            key_number: only this key's; None for everybody's.
            limit: at most so many rows.
        """
        columns = {
            UsageGroup.DAY: UsageDay.day,
            UsageGroup.KEY: UsageDay.key_number,
            UsageGroup.MODEL: ServedRoute.model,
        }
        chosen = [group for group in UsageGroup if group in set(groups)]
        keys = [columns[group] for group in chosen]
        sums = [func.coalesce(func.sum(getattr(UsageDay, name)), 0) for name in _SUMS]
        statement = (
            select(*keys, *sums)
            .select_from(UsageDay)
            .join(ServedRoute, ServedRoute.id == UsageDay.route_id)
            .where(UsageDay.day >= since, UsageDay.day <= until)
            .limit(limit)
        )
        if keys:
            order = [column.desc() if column is UsageDay.day else column for column in keys]
            statement = statement.group_by(*keys).order_by(*order)
        if key_number is not None:
            statement = statement.where(UsageDay.key_number == key_number)
        async with self._db.read() as session:
            found = [tuple(row) for row in await session.execute(statement)]
            names = {}
            if UsageGroup.KEY in chosen:
                place = chosen.index(UsageGroup.KEY)
                known = select(ApiKey.number, ApiKey.id, ApiKey.name).where(
                    ApiKey.number.in_({row[place] for row in found})
                )
                names = {row[0]: (row[1], row[2]) for row in await session.execute(known)}
        return tuple(_usage(chosen, row, names) for row in found)

    async def today(self) -> int:
        """The current day, counted from 1970, by the database's clock."""
        async with self._db.read() as session:
            return int((await session.execute(select(db_now()))).scalar_one() // _DAY_SECONDS)

    async def drop_older(self, seconds: float) -> int:
        """Delete some rows of requests that ended more than ``seconds`` ago; sums stay.

        Returns:
            How many; 0 where none is left.
        """
        oldest = select(ServedRequest.id, ServedRequest.at, db_now()).order_by(ServedRequest.id).limit(_BATCH)

        def work(connection: Connection) -> int:
            due = [row[0] for row in connection.execute(oldest) if row[2] - row[1] > seconds]
            if due:
                connection.execute(delete(ServedRequest).where(ServedRequest.id.in_(due)))
            return len(due)

        return await self._db.write(work)

    def _route_ids(self, connection: Connection, routes: Sequence[RouteRecord]) -> dict[RouteRecord, int]:
        known = dict(self._routes) if len(self._routes) < _ROUTES else {}
        for route in dict.fromkeys(routes):
            if route in known:
                continue
            fields = asdict(route)
            new = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
            connection.execute(new(ServedRoute).values(**fields).on_conflict_do_nothing())
            same = [getattr(ServedRoute, name) == value for name, value in fields.items()]
            known[route] = connection.execute(select(ServedRoute.id).where(*same)).scalar_one()
        return known


def _sums_row(delta: UsageDelta, now: float, route_id: int) -> dict[str, object]:
    return {
        "day": int((now - delta.age_seconds) // _DAY_SECONDS),
        "key_number": delta.key_number,
        "route_id": route_id,
        **{name: int(getattr(delta.sums, name)) for name in _SUMS},
    }


def _row(request: RequestRecord, now: float, route_id: int) -> dict[str, object]:
    drawn = request.drawn
    return {
        "at": now - request.age_seconds,
        "request_id": request.request_id,
        "route_id": route_id,
        "key_number": request.key_number,
        "ending": request.ending.value,
        "error_code": request.error_code,
        "streamed": request.streamed,
        "estimated": request.estimated,
        "prompt_tokens": request.prompt_tokens,
        "completion_tokens": request.completion_tokens,
        "micros": request.micros,
        "first_ms": request.first_ms,
        "total_ms": request.total_ms,
        "attempts": request.attempts,
        "token": request.token,
        "arm": None if drawn is None else drawn.arm,
        "propensity": None if drawn is None else drawn.propensity,
        "stretch": None if drawn is None else drawn.stretch,
    }


def _usage(
    groups: Sequence[UsageGroup], row: Sequence[object], names: dict[int, tuple[str, str]]
) -> UsageRow:
    keys = dict(zip(groups, row, strict=False))
    sums = [int(str(value)) for value in row[len(groups) :]]
    day, number, model = keys.get(UsageGroup.DAY), keys.get(UsageGroup.KEY), keys.get(UsageGroup.MODEL)
    key_id, key_name = names.get(int(str(number)), (None, None)) if number is not None else (None, None)
    return UsageRow(
        day=None if day is None else int(str(day)),
        key_id=key_id,
        key_name=key_name,
        model=None if model is None else str(model),
        sums=UsageSums(**dict(zip(_SUMS, sums, strict=True))),
    )
