"""API keys and the audit log of their changes."""

from collections.abc import Collection

from sqlalchemy import Connection, Select, insert, select, update
from sqlalchemy.orm import Session as SyncSession

from store.clock import db_now
from store.connections import Database, Session
from store.errors import ConflictError, NotFoundError
from store.ids import new_id
from store.json_values import JsonObject
from store.models.api_key import ApiKey
from store.models.api_key_change import ApiKeyChange
from store.records.keys import KeyChange, KeyChangeRecord, KeyDraft, KeyRecord

_CHANGEABLE = frozenset({"name", "note", "scopes", "models", "limits", "expires_at"})


class KeyRepository:
    """Stores keys; every change is in the audit log, in the same transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(self, draft: KeyDraft) -> KeyRecord:
        """Store a key.

        Raises:
            ConflictError: there is a key with this prefix.
        """
        fields: JsonObject = {
            "name": draft.name,
            "note": draft.note,
            "scopes": list(draft.scopes),
            "models": None if draft.models is None else list(draft.models),
            "limits": draft.limits,
            "expires_at": draft.expires_at,
        }
        statement = insert(ApiKey).values(
            id=new_id("key"),
            prefix=draft.prefix,
            digest=draft.digest,
            created_by=draft.created_by,
            **fields,
        )
        async with self._db.session() as session:
            row = (await session.scalars(statement.returning(ApiKey))).one()
            await _log(session, row.id, KeyChange.CREATED, fields, draft.created_by)
            return await _record(session, row)

    async def get(self, key_id: str) -> KeyRecord:
        """The key ``key_id``, also a revoked one.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.read() as session:
            return await _record(session, await _find(session, key_id))

    async def list(self, *, after: str | None, limit: int) -> tuple[KeyRecord, ...]:
        """Keys, newest first.

        Args:
            after: id of the last key already seen.
            limit: at most so many.

        Raises:
            NotFoundError: there is no key ``after``.
        """
        statement = select(ApiKey, db_now()).order_by(ApiKey.number.desc()).limit(limit)
        async with self._db.read() as session:
            if after is not None:
                statement = statement.where(ApiKey.number < (await _find(session, after)).number)
            return tuple(key_record(row, now) for row, now in await session.execute(statement))

    async def by_prefix(self, prefixes: Collection[str]) -> tuple[KeyRecord, ...]:
        """The keys that begin with one of ``prefixes``."""
        statement: Select[ApiKey, float] = select(ApiKey, db_now()).where(ApiKey.prefix.in_(prefixes))

        def work(connection: Connection) -> tuple[KeyRecord, ...]:
            with SyncSession(connection) as session:
                return tuple(key_record(row, now) for row, now in session.execute(statement))

        return await self._db.fetch(work)

    async def change(self, key_id: str, fields: JsonObject, *, actor: str) -> KeyRecord:
        """Set some of a key's fields: name, note, scopes, models, limits, expires_at.

        Raises:
            ConflictError: the key is revoked.
            NotFoundError: there is none.
            ValueError: a field cannot be changed.
        """
        if not _CHANGEABLE.issuperset(fields):
            raise ValueError(f"only these fields of a key change: {sorted(_CHANGEABLE)}")
        return await self._set(key_id, KeyChange.CHANGED, fields, actor=actor)

    async def revoke(self, key_id: str, *, actor: str) -> KeyRecord:
        """Take a key out of use for ever; its row stays. A second time changes nothing.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.session() as session:
            statement = update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
            row = await session.scalar(statement.values(revoked_at=db_now()).returning(ApiKey))
            if row is None:
                return await _record(session, await _find(session, key_id))
            await _log(session, key_id, KeyChange.REVOKED, {}, actor)
            return await _record(session, row)

    async def history(self, key_id: str) -> tuple[KeyChangeRecord, ...]:
        """The audit log of a key, newest first.

        Raises:
            NotFoundError: there is no such key.
        """
        statement = select(ApiKeyChange).where(ApiKeyChange.key_id == key_id).order_by(ApiKeyChange.id.desc())
        async with self._db.read() as session:
            await _find(session, key_id)
            return tuple(_change(row) for row in await session.scalars(statement))

    async def touch(self, numbers: Collection[int]) -> None:
        """Note that the keys with these numbers were used just now."""
        statement = update(ApiKey).where(ApiKey.number.in_(numbers)).values(last_used_at=db_now())
        async with self._db.session() as session:
            await session.execute(statement)

    async def _set(self, key_id: str, change: KeyChange, fields: JsonObject, *, actor: str) -> KeyRecord:
        async with self._db.session() as session:
            statement = update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
            row = await session.scalar(statement.values(**fields).returning(ApiKey))
            if row is None:
                await _find(session, key_id)
                raise ConflictError(f"the key {key_id} is revoked: make another one")
            await _log(session, key_id, change, fields, actor)
            return await _record(session, row)


async def _find(session: Session, key_id: str) -> ApiKey:
    row = await session.scalar(select(ApiKey).where(ApiKey.id == key_id))
    if row is None:
        raise NotFoundError(f"there is no key {key_id}")
    return row


async def _log(session: Session, key_id: str, change: KeyChange, fields: JsonObject, actor: str) -> None:
    await session.execute(
        insert(ApiKeyChange).values(key_id=key_id, change=change.value, fields=fields, actor=actor)
    )


async def _record(session: Session, row: ApiKey) -> KeyRecord:
    return key_record(row, (await session.execute(select(db_now()))).scalar_one())


def key_record(row: ApiKey, now: float) -> KeyRecord:
    """A row as it was at ``now``."""
    return KeyRecord(
        number=row.number,
        id=row.id,
        prefix=row.prefix,
        digest=row.digest,
        name=row.name,
        note=row.note,
        scopes=tuple(row.scopes),
        models=None if row.models is None else tuple(row.models),
        limits=row.limits,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        read_at=now,
    )


def _change(row: ApiKeyChange) -> KeyChangeRecord:
    return KeyChangeRecord(
        id=row.id,
        key_id=row.key_id,
        change=KeyChange(row.change),
        fields=row.fields,
        actor=row.actor,
        at=row.at,
    )
