"""API keys as values."""

from dataclasses import dataclass
from enum import StrEnum

from store.json_values import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyDraft:
    """A key to store.

    Attributes:
        prefix: its public beginning, by which it is found; unique.
        digest: SHA-256 of the whole key, in hexadecimal.
        scopes: what it may do, as the application names it.
        models: those that it may ask; None for all.
        limits: how much it may use, as the application wrote it.
        created_by: who made it.
        expires_at: seconds since 1970, or None for never.
    """

    prefix: str
    digest: str
    name: str
    note: str = ""
    scopes: tuple[str, ...]
    models: tuple[str, ...] | None = None
    limits: JsonObject
    created_by: str
    expires_at: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRecord:
    """A stored key. Times are seconds since 1970 by the database's clock.

    Attributes:
        number: stands for the key in rows of which there are many; counts from 1.
        read_at: when this record was read.
    """

    number: int
    id: str
    prefix: str
    digest: str
    name: str
    note: str
    scopes: tuple[str, ...]
    models: tuple[str, ...] | None
    limits: JsonObject
    created_by: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    read_at: float

    @property
    def seconds_left(self) -> float | None:
        """How long the key was good for when it was read: 0 where it is revoked; None for ever."""
        if self.revoked_at is not None:
            return 0.0
        return None if self.expires_at is None else max(0.0, self.expires_at - self.read_at)


class KeyChange(StrEnum):
    """What can be done to a key."""

    CREATED = "created"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyChangeRecord:
    """One line of the audit log; ``fields`` are those that were set, with their new values."""

    id: int
    key_id: str
    change: KeyChange
    fields: JsonObject
    actor: str
    at: float
