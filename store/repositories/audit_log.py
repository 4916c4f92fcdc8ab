"""The audit logs of labels, releases, keys and stored versions, read as one: newest first, in pages."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from store.connections import Database
from store.json_values import JsonObject
from store.models.api_key_change import ApiKeyChange
from store.models.label_move import LabelMove
from store.models.prompt_version import PromptVersion
from store.models.release_change import ReleaseChange


class AuditKind(StrEnum):
    """What was done something to."""

    KEY = "key"
    LABEL = "label"
    RELEASE = "release"
    VERSION = "version"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditPlace:
    """Where an entry stands: entries are ordered by time, kind and number.

    Attributes:
        number: its own in its log; of a version that of its model.
    """

    at: float
    kind: AuditKind
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """One entry.

    Attributes:
        place: where it stands.
        model: whose label, release or version it is; None for a key.
        subject: the label, version or key.
        action: what was done, in a word.
        reason: why, where its log asks for that.
        details: what its own log says beside.
    """

    place: AuditPlace
    actor: str
    model: str | None
    subject: str
    action: str
    reason: str | None
    details: JsonObject


_EVERY_KIND: Final = frozenset(AuditKind)


class AuditLogRepository:
    """Reads the logs; their own repositories write them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def page(
        self,
        *,
        kinds: frozenset[AuditKind] = _EVERY_KIND,
        model: str | None = None,
        after: AuditPlace | None = None,
        limit: int,
    ) -> tuple[AuditEntry, ...]:
        """Entries of some kinds, newest first.

        Args:
            kinds: only these.
            model: only what belongs to this one.
            after: only those that follow this place.
            limit: at most so many.
        """
        found: list[AuditEntry] = []
        async with self._db.read() as session:
            if AuditKind.LABEL in kinds:
                found += [_move(row) for row in await session.scalars(_moves(model, after, limit))]
            if AuditKind.RELEASE in kinds:
                found += [_release(row) for row in await session.scalars(_releases(model, after, limit))]
            if AuditKind.KEY in kinds and model is None:
                found += [_key(row) for row in await session.scalars(_keys(after, limit))]
            if AuditKind.VERSION in kinds:
                found += [_version(row) for row in await session.scalars(_versions(model, after, limit))]
        found.sort(key=lambda entry: _order(entry.place), reverse=True)
        return tuple(found[:limit])


def _moves(model: str | None, after: AuditPlace | None, limit: int) -> Select[LabelMove]:
    statement = select(LabelMove).order_by(LabelMove.at.desc(), LabelMove.id.desc()).limit(limit)
    if model is not None:
        statement = statement.where(LabelMove.model == model)
    return statement.where(*_later(AuditKind.LABEL, LabelMove.at, LabelMove.id, after))


def _releases(model: str | None, after: AuditPlace | None, limit: int) -> Select[ReleaseChange]:
    newest_first = (ReleaseChange.at.desc(), ReleaseChange.id.desc())
    statement = select(ReleaseChange).order_by(*newest_first).limit(limit)
    if model is not None:
        statement = statement.where(ReleaseChange.model == model)
    return statement.where(*_later(AuditKind.RELEASE, ReleaseChange.at, ReleaseChange.id, after))


def _keys(after: AuditPlace | None, limit: int) -> Select[ApiKeyChange]:
    statement = select(ApiKeyChange).order_by(ApiKeyChange.at.desc(), ApiKeyChange.id.desc()).limit(limit)
    return statement.where(*_later(AuditKind.KEY, ApiKeyChange.at, ApiKeyChange.id, after))


def _versions(model: str | None, after: AuditPlace | None, limit: int) -> Select[PromptVersion]:
    """Those that no job has stored: jobs have a log of their own."""
    newest_first = (PromptVersion.created_at.desc(), PromptVersion.number.desc())
    statement = select(PromptVersion).where(PromptVersion.provenance.is_not(None))
    statement = statement.order_by(*newest_first).limit(limit)
    if model is not None:
        statement = statement.where(PromptVersion.model == model)
    later = _later(AuditKind.VERSION, PromptVersion.created_at, PromptVersion.number, after)
    return statement.where(*later)


def _later(
    kind: AuditKind,
    at: InstrumentedAttribute[float],
    number: InstrumentedAttribute[int],
    after: AuditPlace | None,
) -> list[ColumnElement[bool]]:
    """The condition that entries of ``kind`` follow ``after``."""
    if after is None:
        return []
    if kind > after.kind:
        return [at < after.at]
    if kind < after.kind:
        return [at <= after.at]
    return [or_(at < after.at, and_(at == after.at, number < after.number))]


def _order(place: AuditPlace) -> tuple[float, str, int]:
    return place.at, place.kind.value, place.number


def _move(row: LabelMove) -> AuditEntry:
    action = "moved" if row.undoes is None else "undone"
    return AuditEntry(
        place=AuditPlace(at=row.at, kind=AuditKind.LABEL, number=row.id),
        actor=row.actor,
        model=row.model,
        subject=row.label,
        action=action,
        reason=row.reason,
        details={
            "move": row.id,
            "from_version": row.from_version,
            "to_version": None if row.removes else row.to_version,
            "undoes": row.undoes,
        },
    )


def _release(row: ReleaseChange) -> AuditEntry:
    return AuditEntry(
        place=AuditPlace(at=row.at, kind=AuditKind.RELEASE, number=row.id),
        actor=row.actor,
        model=row.model,
        subject=row.model,
        action="ended" if row.policy is None else "set",
        reason=None,
        details={"policy": row.policy},
    )


def _key(row: ApiKeyChange) -> AuditEntry:
    return AuditEntry(
        place=AuditPlace(at=row.at, kind=AuditKind.KEY, number=row.id),
        actor=row.actor,
        model=None,
        subject=row.key_id,
        action=row.change,
        reason=None,
        details={"fields": row.fields},
    )


def _version(row: PromptVersion) -> AuditEntry:
    provenance = row.provenance or {}
    return AuditEntry(
        place=AuditPlace(at=row.created_at, kind=AuditKind.VERSION, number=row.number),
        actor=str(provenance.get("by")),
        model=row.model,
        subject=row.id,
        action=str(provenance.get("how")),
        reason=provenance.get("note"),
        details={"number": row.number, "name": provenance.get("name"), "format": provenance.get("format")},
    )
