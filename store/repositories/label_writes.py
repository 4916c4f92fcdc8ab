"""Moving labels and writing the audit log of it, as a part of whatever transaction that belongs to."""

from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from store.clock import db_now
from store.errors import ConflictError, NotFoundError
from store.models.label_move import LabelMove
from store.models.prompt_label import PromptLabel
from store.models.prompt_version import PromptVersion
from store.named_locks import serialise
from store.records.prompts import LabelMoveDraft, LabelMoveRecord, LabelRecord
from store.repositories.prompt_rows import to_label, to_move
from store.statements import NamedRow, Statement


class Anything:
    """The type of ``ANYTHING``."""


ANYTHING: Final = Anything()
"""Says that a label may be moved from wherever it points."""

_IS_LABEL: Final = (PromptLabel.model == bindparam("of_model"), PromptLabel.label == bindparam("of_label"))
_OF_LABEL: Final = select(LabelMove).where(
    LabelMove.model == bindparam("of_model"), LabelMove.label == bindparam("of_label")
)
_MODEL_OF: Final = Statement(select(PromptVersion.model).where(PromptVersion.id == bindparam("of_id")))
_CURRENT: Final = Statement(select(PromptLabel).where(*_IS_LABEL))
_ADD: Final = Statement(insert(PromptLabel).returning(PromptLabel), columns=("model", "label", "version_id"))
_POINT: Final = Statement(
    update(PromptLabel)
    .where(*_IS_LABEL)
    .values(version_id=bindparam("to_version"), moved_at=db_now())
    .returning(PromptLabel)
)
_REMOVE: Final = Statement(delete(PromptLabel).where(*_IS_LABEL))
_LAST_MOVE: Final = Statement(_OF_LABEL.order_by(LabelMove.id.desc()).limit(1))
_MOVE: Final = Statement(_OF_LABEL.where(LabelMove.id == bindparam("of_id")))
_LOG: Final = Statement(
    insert(LabelMove).returning(LabelMove),
    columns=("model", "label", "from_version", "to_version", "actor", "reason", "undoes", "removes"),
)


def move_label(
    connection: Connection, move: LabelMoveDraft, *, expected: str | Anything | None = ANYTHING
) -> LabelRecord:
    """Point a label to a version; one that points there already is left alone, and nothing is logged.

    Args:
        connection: in a write transaction, which can go on after either error: nothing is written then.
        move: what to move where, by whom and why.
        expected: the version id that the label must point to now, or None for no label yet.

    Raises:
        NotFoundError: the model has no such version.
        ConflictError: the label points elsewhere than expected.
    """
    serialise(connection, f"prompt_labels:{move.model}")
    if _MODEL_OF.scalar(connection, {"of_id": move.version_id}) != move.model:
        raise NotFoundError(f"{move.model} has no prompt version {move.version_id}")
    current = _CURRENT.first(connection, {"of_model": move.model, "of_label": move.label})
    held = None if current is None else current.version_id
    if not isinstance(expected, Anything) and held != expected:
        raise ConflictError(
            f"{move.label} of {move.model} points to {held or 'no version'}, "
            f"not to {expected or 'no version'}"
        )
    if current is not None and held == move.version_id:
        return to_label(current)
    logged = {
        "model": move.model,
        "label": move.label,
        "from_version": held,
        "to_version": move.version_id,
        "actor": move.actor,
        "reason": move.reason,
        "undoes": None,
        "removes": False,
    }
    _LOG.one(connection, logged)
    return _point(connection, move.model, move.label, move.version_id, is_new=current is None)


def undo_move(
    connection: Connection, model: str, label: str, *, move_id: int | None, actor: str, reason: str
) -> LabelMoveRecord:
    """Point a label to where it pointed before its last move; undoing its first one takes it away.

    Args:
        connection: in a write transaction.
        model: the label's model.
        label: its name.
        move_id: the move to undo, which has to be the last one; None for the last one, but for an undoing.
        actor: who asks.
        reason: why.

    Raises:
        NotFoundError: the label never moved, or has no such move.
        ConflictError: it was moved since, or the last move is an undoing.
    """
    serialise(connection, f"prompt_labels:{model}")
    last = _undoable(connection, model, label, move_id)
    undoing = {
        "model": model,
        "label": label,
        "from_version": None if last.removes else last.to_version,
        "to_version": last.from_version or last.to_version,
        "actor": actor,
        "reason": reason,
        "undoes": last.id,
        "removes": last.from_version is None,
    }
    made = to_move(_LOG.one(connection, undoing))
    if made.to_version is None:
        _REMOVE.execute(connection, [{"of_model": model, "of_label": label}])
    else:
        _point(connection, model, label, made.to_version, is_new=made.from_version is None)
    return made


def _undoable(connection: Connection, model: str, label: str, move_id: int | None) -> NamedRow:
    """The label's last move, if it is the one to undo."""
    name, of_label = f"{label} of {model}", {"of_model": model, "of_label": label}
    last = _LAST_MOVE.first(connection, of_label)
    if last is None:
        raise NotFoundError(f"{name} was never moved")
    if move_id is None and last.undoes is not None:
        raise ConflictError(
            f"the last move of {name}, {last.id}, undid move {last.undoes}: name it to undo it"
        )
    if move_id is not None and move_id != last.id:
        if _MOVE.first(connection, {**of_label, "of_id": move_id}) is None:
            raise NotFoundError(f"{name} has no move {move_id}")
        raise ConflictError(f"{name} was moved since: its last move is {last.id}")
    return last


def _point(connection: Connection, model: str, label: str, version_id: str, *, is_new: bool) -> LabelRecord:
    if is_new:
        added = {"model": model, "label": label, "version_id": version_id}
        return to_label(_ADD.one(connection, added))
    moved = {"of_model": model, "of_label": label, "to_version": version_id}
    return to_label(_POINT.one(connection, moved))
