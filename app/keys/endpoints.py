"""``/v1/keys``."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.auth import AdminPrincipal
from app.dependencies import CurrentResources
from app.keys.schemas import ChangeKey, CreateKey, KeyChangeList, KeyObject, KeyPage, NewKeyObject
from app.keys.service import KeyService

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.post("", status_code=201)
async def create_key(
    request: CreateKey, resources: CurrentResources, principal: AdminPrincipal
) -> NewKeyObject:
    """Make an API key; the answer is the only place that ever shows it."""
    return await KeyService(resources).create(request, actor=principal.name)


@router.get("")
async def list_keys(
    resources: CurrentResources,
    _: AdminPrincipal,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> KeyPage:
    """Keys, newest first, revoked ones too."""
    data, has_more = await KeyService(resources).page(after=after, limit=limit)
    return KeyPage(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=has_more,
    )


@router.get("/{key_id}")
async def get_key(key_id: str, resources: CurrentResources, _: AdminPrincipal) -> KeyObject:
    """One key."""
    return await KeyService(resources).get(key_id)


@router.patch("/{key_id}")
async def change_key(
    key_id: str, request: ChangeKey, resources: CurrentResources, principal: AdminPrincipal
) -> KeyObject:
    """Set a key's name, note, scopes, models, limits or expiry."""
    return await KeyService(resources).change(key_id, request, actor=principal.name)


@router.delete("/{key_id}")
async def revoke_key(key_id: str, resources: CurrentResources, principal: AdminPrincipal) -> KeyObject:
    """Take a key out of use for ever; what it has used stays on record."""
    return await KeyService(resources).revoke(key_id, actor=principal.name)


@router.get("/{key_id}/changes")
async def list_key_changes(key_id: str, resources: CurrentResources, _: AdminPrincipal) -> KeyChangeList:
    """The audit log of a key, newest first."""
    return KeyChangeList(data=await KeyService(resources).history(key_id))
