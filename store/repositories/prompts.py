"""Prompt versions, the labels that point to them, and the audit log of their moves."""

from typing import Final

from sqlalchemy import bindparam, delete, func, insert, select, update

from store.clock import db_now
from store.connections import Database, Session
from store.errors import ConflictError, NotFoundError
from store.json_values import JsonObject, content_hash
from store.models.base import storable_json, storable_text
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
from store.statements import Statement


class Anything:
    """The type of ``ANYTHING``."""


ANYTHING: Final = Anything()
"""Says that a label may be moved from wherever it points."""


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

    async def add_version(
        self, draft: PromptVersionDraft, *, session: Session | None = None
    ) -> PromptVersionRecord:
        """Add a version, or find the one of the same model with the same content.

        The content is system prompt, examples, ``k``, retrieval and sampling.

        Returns:
            The version; where it existed, with the origin and evidence that it was first added with.
        """
        version, _ = await self.store_version(draft, session=session)
        return version

    async def store_version(
        self, draft: PromptVersionDraft, *, session: Session | None = None
    ) -> tuple[PromptVersionRecord, bool]:
        """As ``add_version``; says as well whether the version is new."""
        bank_id = _bank_id(draft.examples)
        content = _content_hash(draft, bank_id)
        of_model = PromptVersion.model == draft.model
        async with self._db.session(session) as transaction:
            await self._db.serialise(transaction, f"prompt_versions:{draft.model}")
            known = await transaction.scalar(
                select(PromptVersion).where(of_model, PromptVersion.content_hash == content)
            )
            if known is not None:
                return _version(known), False
            if bank_id is not None:
                await self._add_bank(transaction, bank_id, draft.examples)
            last = await transaction.scalar(select(func.max(PromptVersion.number)).where(of_model))
            statement = insert(PromptVersion).values(
                id=f"pv_{content_hash([draft.model, content])[:24]}",
                model=draft.model,
                number=(last or 0) + 1,
                content_hash=content,
                system_prompt=draft.system_prompt,
                example_bank_id=bank_id,
                k=draft.k,
                retrieval=draft.retrieval,
                sampling=draft.sampling,
                optimization_id=draft.optimization_id,
                candidate_id=draft.candidate_id,
                evidence=draft.evidence,
                provenance=draft.provenance,
            )
            rows = await transaction.scalars(statement.returning(PromptVersion))
            return _version(rows.one()), True

    async def get_version(self, version_id: str, *, session: Session | None = None) -> PromptVersionRecord:
        """The version ``version_id``.

        Raises:
            NotFoundError: there is none.
        """
        async with self._db.read(session) as transaction:
            row = await transaction.get(PromptVersion, version_id)
            if row is None:
                raise NotFoundError(f"there is no prompt version {version_id}")
            return _version(row)

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
            return tuple(_version(row) for row in rows)

    async def add_example_bank(
        self, examples: tuple[JsonObject, ...], *, session: Session | None = None
    ) -> str | None:
        """Store a bank, or find the one with the same examples in the same order.

        Returns:
            Its id; None for a bank without examples.
        """
        bank_id = _bank_id(examples)
        if bank_id is not None:
            async with self._db.session(session) as transaction:
                await self._add_bank(transaction, bank_id, examples)
        return bank_id

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
            return None if row is None else _version(row)

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
                ServedVersion(version=_version(version), labelled=label_version is not None)
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
        self,
        move: LabelMoveDraft,
        *,
        expected: str | Anything | None = ANYTHING,
        session: Session | None = None,
    ) -> LabelRecord:
        """Point a label to a version, and write the audit log in the same transaction.

        A label that points there already is left alone, and nothing is logged.

        Args:
            move: what to move where, by whom and why.
            expected: the version id that the label must point to now, or None for no label yet.
            session: a transaction to take part in.

        Raises:
            NotFoundError: the model has no such version.
            ConflictError: the label points elsewhere than expected.
        """
        async with self._db.session(session) as transaction:
            await self._db.serialise(transaction, f"prompt_labels:{move.model}")
            version = await transaction.get(PromptVersion, move.version_id)
            if version is None or version.model != move.model:
                raise NotFoundError(f"{move.model} has no prompt version {move.version_id}")
            current = await transaction.get(PromptLabel, (move.model, move.label))
            held = None if current is None else current.version_id
            if not isinstance(expected, Anything) and held != expected:
                raise ConflictError(
                    f"{move.label} of {move.model} points to {held or 'no version'}, "
                    f"not to {expected or 'no version'}"
                )
            if current is not None and held == move.version_id:
                return to_label(current)
            await transaction.execute(
                insert(LabelMove).values(
                    model=move.model,
                    label=move.label,
                    from_version=held,
                    to_version=move.version_id,
                    actor=move.actor,
                    reason=move.reason,
                )
            )
            return to_label(await self._point(transaction, move, is_new=current is None))

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
        name = f"{label} of {model}"
        of_label = select(LabelMove).where(LabelMove.model == model, LabelMove.label == label)
        async with self._db.session() as transaction:
            await self._db.serialise(transaction, f"prompt_labels:{model}")
            last = await transaction.scalar(of_label.order_by(LabelMove.id.desc()).limit(1))
            if last is None:
                raise NotFoundError(f"{name} was never moved")
            if move_id is None and last.undoes is not None:
                raise ConflictError(
                    f"the last move of {name}, {last.id}, undid move {last.undoes}: name it to undo it"
                )
            if move_id is not None and move_id != last.id:
                if await transaction.scalar(of_label.where(LabelMove.id == move_id)) is None:
                    raise NotFoundError(f"{name} has no move {move_id}")
                raise ConflictError(f"{name} was moved since: its last move is {last.id}")
            made = insert(LabelMove).values(
                model=model,
                label=label,
                from_version=None if last.removes else last.to_version,
                to_version=last.from_version or last.to_version,
                actor=actor,
                reason=reason,
                undoes=last.id,
                removes=last.from_version is None,
            )
            undoing = to_move((await transaction.scalars(made.returning(LabelMove))).one())
            await self._restore(transaction, undoing)
            return undoing

    @staticmethod
    async def _restore(session: Session, move: LabelMoveRecord) -> None:
        row = (PromptLabel.model == move.model) & (PromptLabel.label == move.label)
        if move.to_version is None:
            await session.execute(delete(PromptLabel).where(row))
        elif move.from_version is None:
            values = {"model": move.model, "label": move.label, "version_id": move.to_version}
            await session.execute(insert(PromptLabel).values(**values))
        else:
            to = {"version_id": move.to_version, "moved_at": db_now()}
            await session.execute(update(PromptLabel).where(row).values(**to))

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

    async def _add_bank(self, session: Session, bank_id: str, examples: tuple[JsonObject, ...]) -> None:
        await self._db.serialise(session, f"example_banks:{bank_id}")
        if await session.get(ExampleBank, bank_id) is None:
            await session.execute(insert(ExampleBank).values(id=bank_id, examples=list(examples)))

    @staticmethod
    async def _point(session: Session, move: LabelMoveDraft, *, is_new: bool) -> PromptLabel:
        if is_new:
            added = insert(PromptLabel).values(model=move.model, label=move.label, version_id=move.version_id)
            return (await session.scalars(added.returning(PromptLabel))).one()
        moved = (
            update(PromptLabel)
            .where(PromptLabel.model == move.model, PromptLabel.label == move.label)
            .values(version_id=move.version_id, moved_at=db_now())
        )
        return (await session.scalars(moved.returning(PromptLabel))).one()


def _bank_id(examples: tuple[JsonObject, ...]) -> str | None:
    if not examples:
        return None
    return f"eb_{content_hash([storable_json(example) for example in examples])[:24]}"


def _content_hash(draft: PromptVersionDraft, bank_id: str | None) -> str:
    content: JsonObject = {
        "system_prompt": storable_text(draft.system_prompt),
        "example_bank": bank_id,
        "k": draft.k,
        "sampling": storable_json(draft.sampling),
    }
    if draft.retrieval is not None:  # versions from before there was a choice keep their hash
        content["retrieval"] = storable_json(draft.retrieval)
    return content_hash(content)


def _version(row: PromptVersion) -> PromptVersionRecord:
    return PromptVersionRecord(
        id=row.id,
        model=row.model,
        number=row.number,
        content_hash=row.content_hash,
        system_prompt=row.system_prompt,
        example_bank_id=row.example_bank_id,
        k=row.k,
        retrieval=row.retrieval,
        sampling=row.sampling,
        optimization_id=row.optimization_id,
        candidate_id=row.candidate_id,
        evidence=row.evidence,
        provenance=row.provenance,
        created_at=row.created_at,
    )


def to_label(row: PromptLabel) -> LabelRecord:
    """A row as a value."""
    return LabelRecord(model=row.model, label=row.label, version_id=row.version_id, moved_at=row.moved_at)


def to_move(row: LabelMove) -> LabelMoveRecord:
    """A row as a value."""
    return LabelMoveRecord(
        id=row.id,
        model=row.model,
        label=row.label,
        from_version=row.from_version,
        to_version=None if row.removes else row.to_version,
        actor=row.actor,
        reason=row.reason,
        at=row.at,
        undoes=row.undoes,
    )
