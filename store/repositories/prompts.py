"""Prompt versions, the labels that point to them, and the audit log of their moves."""

from typing import Final

from sqlalchemy import Connection, bindparam, func, select

from store.connections import Database
from store.errors import NotFoundError
from store.json_values import JsonObject
from store.models.example_bank import ExampleBank
from store.models.label_move import LabelMove
from store.models.prompt_label import PromptLabel
from store.models.prompt_version import PromptVersion
from store.records.prompts import (
    LabelMoveDraft,
    LabelMoveRecord,
    LabelRecord,
    PromptVersionDraft,
    PromptVersionRecord,
    ServedVersion,
)
from store.repositories.label_writes import ANYTHING, Anything, move_label, undo_move
from store.repositories.prompt_rows import to_label, to_move, to_version
from store.repositories.version_writes import store_bank, store_version
from store.statements import Statement

# built once: of each model that is asked the labels are read every second
_LABELS_OF: Final = Statement(
    select(PromptLabel.label, PromptLabel.version_id, PromptLabel.moved_at)
    .where(PromptLabel.model == bindparam("of_model"))
    .order_by(PromptLabel.label)
)


class PromptRepository:
    """Versions and labels. A version never changes; what moves is the label."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add_version(self, draft: PromptVersionDraft) -> PromptVersionRecord:
        """Add a version, or find the one of the same model with the same content.

        The content is system prompt, examples, ``k``, retrieval and sampling.

        Returns:
            The version; where it existed, with the origin and evidence that it was first added with.
        """
        version, _ = await self.store_version(draft)
        return version

    async def store_version(self, draft: PromptVersionDraft) -> tuple[PromptVersionRecord, bool]:
        """As ``add_version``; says as well whether the version is new."""
        return await self._db.write(lambda connection: store_version(connection, draft))

    async def get_version(self, version_id: str) -> PromptVersionRecord:
        """The version ``version_id``.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.read() as session:
            row = await session.get(PromptVersion, version_id)
            if row is None:
                raise NotFoundError(f"there is no prompt version {version_id}")
            return to_version(row)

    async def version_id(self, model: str, number: int) -> str:
        """The id of version ``number`` of ``model``.

        Raises:
            NotFoundError: there is none.
        """
        statement = select(PromptVersion.id).where(
            PromptVersion.model == model, PromptVersion.number == number
        )
        async with self._db.read() as session:
            found = await session.scalar(statement)
            if found is None:
                raise NotFoundError(f"there is no version {number} of {model}")
            return found

    async def versions(
        self, model: str, *, before: int | None = None, limit: int | None = None
    ) -> tuple[PromptVersionRecord, ...]:
        """Versions of ``model``, newest first: those with numbers below ``before``, ``limit`` at most."""
        statement = select(PromptVersion).where(PromptVersion.model == model)
        if before is not None:
            statement = statement.where(PromptVersion.number < before)
        async with self._db.read() as session:
            rows = await session.scalars(statement.order_by(PromptVersion.number.desc()).limit(limit))
            return tuple(to_version(row) for row in rows)

    async def add_example_bank(self, examples: tuple[JsonObject, ...]) -> str | None:
        """Store a bank, or find the one with the same examples in the same order.

        Returns:
            Its id; None for a bank without examples.
        """
        if not examples:
            return None  # most jobs have none: they need not wait for their turn to write
        return await self._db.write(lambda connection: store_bank(connection, examples))

    async def example_bank(self, bank_id: str) -> tuple[JsonObject, ...]:
        """The examples of a bank.

        Raises:
            NotFoundError: there is none.
        """
        statement = select(ExampleBank.examples).where(ExampleBank.id == bank_id)
        examples = await self._db.fetch(lambda connection: connection.scalar(statement))
        if examples is None:
            raise NotFoundError(f"there is no example bank {bank_id}")
        return tuple(examples)

    async def labelled(self, model: str, label: str) -> PromptVersionRecord | None:
        """The version of ``model`` that ``label`` points to, or None."""
        statement = (
            select(PromptVersion)
            .join(PromptLabel, PromptLabel.version_id == PromptVersion.id)
            .where(PromptLabel.model == model, PromptLabel.label == label)
        )
        async with self._db.read() as session:
            row = await session.scalar(statement)
            return None if row is None else to_version(row)

    async def served(self, label: str) -> tuple[ServedVersion, ...]:
        """For each model that has versions, the one that ``label`` points to, else its newest; by model."""
        newest = select(PromptVersion.model, func.max(PromptVersion.number).label("number"))
        last = newest.group_by(PromptVersion.model).subquery()
        statement = (
            select(PromptVersion, PromptLabel.version_id)
            .join(last, last.c.model == PromptVersion.model)
            .outerjoin(PromptLabel, (PromptLabel.model == PromptVersion.model) & (PromptLabel.label == label))
            .where(
                (PromptLabel.version_id == PromptVersion.id)
                | (PromptLabel.version_id.is_(None) & (PromptVersion.number == last.c.number))
            )
            .order_by(PromptVersion.model)
        )
        async with self._db.read() as session:
            rows = await session.execute(statement)
            return tuple(
                ServedVersion(version=to_version(version), labelled=label_version is not None)
                for version, label_version in rows
            )

    async def labels(self, model: str | None = None) -> tuple[LabelRecord, ...]:
        """The labels of ``model``, or of all models, by model and name."""
        if model is None:
            async with self._db.read() as session:
                rows = await session.scalars(
                    select(PromptLabel).order_by(PromptLabel.model, PromptLabel.label)
                )
                return tuple(to_label(row) for row in rows)
        found = await self._db.fetch(lambda connection: _LABELS_OF.rows(connection, {"of_model": model}))
        return tuple(
            LabelRecord(model=model, label=label, version_id=version_id, moved_at=moved_at)
            for label, version_id, moved_at in found
        )

    async def move_label(
        self, move: LabelMoveDraft, *, expected: str | Anything | None = ANYTHING
    ) -> LabelRecord:
        """Point a label to a version, and write the audit log in the same transaction.

        A label that points there already is left alone, and nothing is logged.

        Args:
            move: what to move where, by whom and why.
            expected: the version id that the label must point to now, or None for no label yet.

        Raises:
            NotFoundError: the model has no such version.
            ConflictError: the label points elsewhere than expected.
        """
        return await self._db.write(lambda connection: move_label(connection, move, expected=expected))

    async def undo_move(
        self, model: str, label: str, *, move_id: int | None, actor: str, reason: str
    ) -> LabelMoveRecord:
        """Point a label to where it pointed before its last move, and write the audit log as well.

        Undoing a label's first move takes the label away. A move that undoes one can be undone, too.

        Args:
            model: the label's model.
            label: its name.
            move_id: the move to undo, which has to be the last one; None for the last one, whichever it is,
                but for one that is an undoing itself: whoever asks twice does not want it back.
            actor: who asks.
            reason: why.

        Raises:
            NotFoundError: the label never moved, or has no such move.
            ConflictError: it was moved since, or the last move is an undoing.
        """

        def work(connection: Connection) -> LabelMoveRecord:
            return undo_move(connection, model, label, move_id=move_id, actor=actor, reason=reason)

        return await self._db.write(work)

    async def label_history(
        self, model: str, label: str | None = None, *, before: int | None = None, limit: int | None = None
    ) -> tuple[LabelMoveRecord, ...]:
        """Moves of a model's labels, or of one, newest first: ids below ``before``, ``limit`` at most."""
        statement = select(LabelMove).where(LabelMove.model == model).order_by(LabelMove.id.desc())
        statement = statement.limit(limit)
        if before is not None:
            statement = statement.where(LabelMove.id < before)
        if label is not None:
            statement = statement.where(LabelMove.label == label)
        async with self._db.read() as session:
            return tuple(to_move(row) for row in await session.scalars(statement))
