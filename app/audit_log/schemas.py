"""What the audit log gives."""

from typing import Literal

from pydantic import BaseModel

from optimizer.types import JsonObject


class AuditObject(BaseModel):
    """One entry.

    Attributes:
        id: its place, for ``after``.
        actor: the key's id; ``api_key`` for the one of the settings, ``local`` without any; ``optimization``
            for a job.
        model: null for a key.
        subject: the label, the version or the key; a release is its model's.
        action: what was done to it.
        reason: why; null in logs that do not ask for it.
        details: what the log of its own says beside.
    """

    id: str
    kind: Literal["key", "label", "release", "version"]
    at: float
    actor: str
    model: str | None
    subject: str
    action: str
    reason: str | None
    details: JsonObject


class AuditPage(BaseModel):
    """Entries, newest first; ``has_more`` says to ask again with ``after``, the last one's id."""

    object: Literal["list"] = "list"
    data: list[AuditObject]
    has_more: bool
