"""What backends were found to be able to do."""

from dataclasses import dataclass

from sqlalchemy import delete, insert

from store.connections import Database
from store.json_values import JsonObject
from store.models.backend_capability import BackendCapability


@dataclass(frozen=True, kw_only=True, slots=True)
class CapabilityRecord:
    """The last probe of ``model`` on ``backend``; ``probed_at`` in seconds since 1970."""

    backend: str
    model: str
    record: JsonObject
    probed_at: float


class CapabilityRepository:
    """One record for each model on a backend; a new probe replaces the old."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(self, backend: str, model: str) -> CapabilityRecord | None:
        """What the last probe found, or None."""
        async with self._db.read() as session:
            row = await session.get(BackendCapability, (backend, model))
            return None if row is None else _record(row)

    async def put(self, backend: str, model: str, record: JsonObject) -> CapabilityRecord:
        """Remember what a probe found."""
        same = (BackendCapability.backend == backend, BackendCapability.model == model)
        async with self._db.session() as session:
            await self._db.serialise(session, f"backend_capabilities:{backend}:{model}")
            await session.execute(delete(BackendCapability).where(*same))
            statement = insert(BackendCapability).values(backend=backend, model=model, record=record)
            return _record((await session.scalars(statement.returning(BackendCapability))).one())


def _record(row: BackendCapability) -> CapabilityRecord:
    return CapabilityRecord(backend=row.backend, model=row.model, record=row.record, probed_at=row.probed_at)
