"""API keys: make them, look at them, change them, revoke them."""

from dataclasses import asdict
from datetime import UTC, datetime

from app.access.key_text import digest_of, new_key, prefix_of
from app.access.principal import Scope
from app.errors import invalid_request
from app.keys.schemas import (
    ChangeKey,
    CreateKey,
    KeyChangeObject,
    KeyObject,
    LimitFields,
    NewKeyObject,
)
from app.resources import Resources
from optimizer.types import JsonObject
from store.records.keys import KeyDraft, KeyRecord


class KeyService:
    """What the endpoints do, without HTTP."""

    def __init__(self, resources: Resources) -> None:
        """A service on ``resources``."""
        self._resources = resources
        self._keys = resources.access.keys

    async def create(self, request: CreateKey, *, actor: str) -> NewKeyObject:
        """Make a key.

        Raises:
            ApiError: 400, it names a model that does not exist, or has expired already.
        """
        self._check(request.models, request.expires_at)
        key = new_key()
        record = await self._keys.add(
            KeyDraft(
                prefix=prefix_of(key) or "",
                digest=digest_of(key),
                name=request.name,
                note=request.note,
                scopes=_in_order(request.scopes),
                models=None if request.models is None else tuple(request.models),
                limits=_stored(request.limits),
                created_by=actor,
                expires_at=request.expires_at,
            )
        )
        return NewKeyObject.model_validate({**_fields(record), "key": key})

    async def page(self, *, after: str | None, limit: int) -> tuple[list[KeyObject], bool]:
        """Keys, newest first, and whether there are more.

        Raises:
            NotFoundError: there is no key ``after``.
        """
        found = await self._keys.list(after=after, limit=limit + 1)
        return [_show(record) for record in found[:limit]], len(found) > limit

    async def get(self, key_id: str) -> KeyObject:
        """One key.

        Raises:
            NotFoundError: there is none.
        """
        return _show(await self._keys.get(key_id))

    async def change(self, key_id: str, request: ChangeKey, *, actor: str) -> KeyObject:
        """Set some fields of a key; in this process they hold from now on.

        Raises:
            ApiError: 400, nothing is set, a model does not exist, or the key would have expired already.
            ConflictError: the key is revoked.
            NotFoundError: there is none.
        """
        self._check(request.models, request.expires_at)
        given = request.model_fields_set
        fields: JsonObject = request.model_dump(mode="json", include=given - {"limits", "scopes"})
        if "limits" in given:
            fields["limits"] = _stored(request.limits)
        if "scopes" in given:
            fields["scopes"] = list(_in_order(request.scopes))
        if not fields:
            raise invalid_request(f"set at least one of {', '.join(ChangeKey.model_fields)}")
        record = await self._keys.change(key_id, fields, actor=actor)
        self._resources.access.ring.forget()
        return _show(record)

    async def revoke(self, key_id: str, *, actor: str) -> KeyObject:
        """Take a key out of use for ever: here at once, in other processes within a second or two.

        Raises:
            NotFoundError: there is none.
        """
        record = await self._keys.revoke(key_id, actor=actor)
        self._resources.access.ring.forget()
        return _show(record)

    async def history(self, key_id: str) -> list[KeyChangeObject]:
        """What was done to a key, newest first.

        Raises:
            NotFoundError: there is none.
        """
        return [KeyChangeObject.model_validate(asdict(line)) for line in await self._keys.history(key_id)]

    def _check(self, models: list[str] | None, expires_at: float | None) -> None:
        registry = self._resources.models
        known = (*registry.target_names(), *registry.embedder_names())
        for name in models or ():
            if name not in known:
                raise invalid_request(
                    f"models: there is no model {name!r}: use some of {', '.join(known)}", param="models"
                )
        if expires_at is not None and expires_at <= datetime.now(UTC).timestamp():
            raise invalid_request("expires_at has to lie ahead, in Unix seconds", param="expires_at")


def _in_order(scopes: set[Scope]) -> tuple[Scope, ...]:
    return tuple(scope for scope in Scope if scope in scopes)


def _stored(limits: LimitFields) -> JsonObject:
    stored: JsonObject = limits.model_dump(mode="json")
    return stored


def _show(record: KeyRecord) -> KeyObject:
    return KeyObject.model_validate(_fields(record))


def _fields(record: KeyRecord) -> dict[str, object]:
    hidden = {"number", "digest", "read_at"}
    return {name: value for name, value in asdict(record).items() if name not in hidden}
