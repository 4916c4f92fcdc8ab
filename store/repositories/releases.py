"""Releases: the policies of models' traffic, and moves that the service makes by itself."""

import secrets
from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session as SyncSession

from store.clock import db_now
from store.connections import Database
from store.errors import ConflictError, NotFoundError
from store.json_values import JsonObject
from store.models.prompt_label import PromptLabel
from store.models.release import Release
from store.models.release_change import ReleaseChange
from store.models.release_count import ReleaseCount
from store.records.prompts import LabelMoveDraft, LabelRecord
from store.records.releases import ReleaseChangeRecord, ReleaseRecord, ReleaseView
from store.repositories.label_writes import move_label
from store.webhook_outbox import add_rollback

_SALT_BYTES = 16


class ReleaseRepository:
    """One row a model; every change is in the audit log."""

    def __init__(self, db: Database) -> None:
        """The releases in ``db``."""
        self._db = db

    async def put(self, model: str, policy: JsonObject, *, actor: str) -> ReleaseView:
        """Set the policy of a model; its salt stays, so that nobody changes arms without need."""
        new_row = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
        salt = secrets.token_hex(_SALT_BYTES)
        statement = new_row(Release).values(model=model, policy=policy, salt=salt, changed_by=actor)
        to = {
            "policy": statement.excluded.policy,
            "changed_by": actor,
            "changed_at": db_now(),
            "suspect_stretch": None,
            "suspect_label": None,
            "suspect_since": None,
            "quiet_until": None,
        }
        upsert = statement.on_conflict_do_update(index_elements=["model"], set_=to).returning(Release)
        async with self._db.session() as session:
            row = (await session.scalars(upsert)).one()
            await session.execute(insert(ReleaseChange).values(model=model, policy=policy, actor=actor))
            labels = await session.scalars(select(PromptLabel).where(PromptLabel.model == model))
            return _view(row, labels.all())

    async def end(self, model: str, *, actor: str) -> None:
        """End a model's release, and forget what was counted for it; what is still on its way is not counted.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.session() as session:
            gone = delete(Release).where(Release.model == model).returning(Release.model)
            if (await session.scalars(gone)).first() is None:
                raise NotFoundError(f"{model} has no release")
            await session.execute(delete(ReleaseCount).where(ReleaseCount.model == model))
            await session.execute(insert(ReleaseChange).values(model=model, policy=None, actor=actor))

    async def views(self, model: str | None = None) -> tuple[ReleaseView, ...]:
        """All releases, or that of one model, with the labels of their models."""
        releases, labels = select(Release).order_by(Release.model), select(PromptLabel)
        if model is not None:
            releases, labels = (
                releases.where(Release.model == model),
                labels.where(PromptLabel.model == model),
            )

        def work(connection: Connection) -> tuple[ReleaseView, ...]:
            with SyncSession(connection) as session:
                rows = session.scalars(releases).all()
                pointers = session.scalars(labels).all() if rows else ()
                return tuple(_view(row, pointers) for row in rows)

        return await self._db.fetch(work)

    async def changes(self, model: str) -> tuple[ReleaseChangeRecord, ...]:
        """The audit log of a model's release, newest first."""
        statement = select(ReleaseChange).where(ReleaseChange.model == model)
        async with self._db.read() as session:
            rows = await session.scalars(statement.order_by(ReleaseChange.id.desc()))
            return tuple(
                ReleaseChangeRecord(id=row.id, model=row.model, policy=row.policy, actor=row.actor, at=row.at)
                for row in rows
            )

    async def suspect(self, model: str, stretch: int | None, label: str | None) -> float | None:
        """Note whether a model's arms look bad now.

        Args:
            model: the release's.
            stretch: the one that does; None where none does.
            label: the one that does in it.

        Returns:
            For how many seconds this label has looked bad in this stretch; None where none does, or where
            nothing may be moved automatically yet.
        """
        of_model = Release.model == model
        async with self._db.session() as session:
            row = await session.scalar(select(Release).where(of_model).with_for_update())
            if row is None:
                return None
            now = (await session.execute(select(db_now()))).scalar_one()
            is_same = (row.suspect_stretch, row.suspect_label) == (stretch, label)
            since = row.suspect_since if is_same else None
            if stretch is not None and since is None:
                since = now
            if not is_same or row.suspect_since != since:
                to = {"suspect_stretch": stretch, "suspect_label": label, "suspect_since": since}
                await session.execute(update(Release).where(of_model).values(**to))
            is_quiet = row.quiet_until is not None and now < row.quiet_until
            return None if since is None or is_quiet else now - since

    async def roll_back(
        self, move: LabelMoveDraft, *, expected: str | None, stretch: int, quiet_seconds: float
    ) -> bool:
        """Move a label of a stretch that looks bad: one of all processes that want to does.

        Args:
            move: what to move where, and why.
            expected: where the label has to point now.
            stretch: the one that looks bad.
            quiet_seconds: nothing else is moved automatically for so long.

        Returns:
            Whether it was moved by this call.
        """
        claim = (
            update(Release)
            .where(
                Release.model == move.model,
                Release.suspect_stretch == stretch,
                Release.suspect_label == move.label,
                (Release.quiet_until.is_(None)) | (Release.quiet_until <= db_now()),
            )
            .values(
                suspect_stretch=None,
                suspect_label=None,
                suspect_since=None,
                quiet_until=db_now() + quiet_seconds,
            )
            .returning(Release.model)
        )

        def work(connection: Connection) -> bool:
            if connection.scalar(claim) is None:
                return False
            move_label(connection, move, expected=expected)
            add_rollback(connection, move, expected)
            return True

        try:
            return await self._db.write(work)
        except ConflictError:
            return False  # somebody has moved it meanwhile


def _view(row: Release, labels: Sequence[PromptLabel]) -> ReleaseView:
    pointers = (
        LabelRecord(
            model=label.model, label=label.label, version_id=label.version_id, moved_at=label.moved_at
        )
        for label in labels
        if label.model == row.model
    )
    return ReleaseView(release=_release(row), labels=tuple(pointers))


def _release(row: Release) -> ReleaseRecord:
    return ReleaseRecord(
        model=row.model,
        policy=row.policy,
        salt=row.salt,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
        suspect_stretch=row.suspect_stretch,
        suspect_label=row.suspect_label,
        suspect_since=row.suspect_since,
        quiet_until=row.quiet_until,
    )
