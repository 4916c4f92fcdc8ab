"""Stored keys for tests."""

from app.access.key_limits import UNLIMITED, KeyLimits
from app.access.key_text import digest_of, new_key, prefix_of
from store.records.keys import KeyDraft, KeyRecord
from store.repositories.keys import KeyRepository


async def add_key(
    keys: KeyRepository,
    *scopes: str,
    models: tuple[str, ...] | None = None,
    limits: KeyLimits = UNLIMITED,
    expires_at: float | None = None,
) -> tuple[str, KeyRecord]:
    """Store a key; gives it and its row. Without ``scopes`` it may serve."""
    key = new_key()
    prefix = prefix_of(key)
    assert prefix is not None
    record = await keys.add(
        KeyDraft(
            prefix=prefix,
            digest=digest_of(key),
            name="test",
            scopes=scopes or ("serve",),
            models=models,
            limits=limits.to_json(),
            created_by="test",
            expires_at=expires_at,
        )
    )
    return key, record


def bearer(key: str) -> dict[str, str]:
    """The header that shows ``key``."""
    return {"authorization": f"Bearer {key}"}
