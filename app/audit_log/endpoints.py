"""``GET /v1/audit-log``."""

import re
from typing import Annotated, Final

from fastapi import APIRouter, Query

from app.audit_log.schemas import AuditObject, AuditPage
from app.auth import AdminPrincipal
from app.dependencies import CurrentResources
from app.errors import invalid_request
from store.repositories.audit_log import AuditEntry, AuditKind, AuditLogRepository, AuditPlace

router = APIRouter(tags=["audit log"])

_PLACE: Final = re.compile(r"(?P<at>\d{1,12}(\.\d{1,9})?)-(?P<kind>[a-z]{1,10})-(?P<number>\d{1,18})")


@router.get("/v1/audit-log")
async def get_audit_log(
    resources: CurrentResources,
    _: AdminPrincipal,
    kind: Annotated[list[AuditKind] | None, Query(description="Only these kinds; by default all")] = None,
    model: Annotated[str | None, Query(description="Only what belongs to this model", max_length=256)] = None,
    after: Annotated[str | None, Query(description="The id of the last one already seen")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> AuditPage:
    """Who has moved labels, changed releases and keys and stored versions: newest first."""
    found = await AuditLogRepository(resources.database).page(
        kinds=frozenset(kind or AuditKind),
        model=model,
        after=None if after is None else _read_place(after),
        limit=limit + 1,
    )
    return AuditPage(data=[_show(entry) for entry in found[:limit]], has_more=len(found) > limit)


def _show(entry: AuditEntry) -> AuditObject:
    place = entry.place
    return AuditObject(
        id=f"{place.at!r}-{place.kind}-{place.number}",
        kind=place.kind.value,
        at=place.at,
        actor=entry.actor,
        model=entry.model,
        subject=entry.subject,
        action=entry.action,
        reason=entry.reason,
        details=entry.details,
    )


def _read_place(text: str) -> AuditPlace:
    read = _PLACE.fullmatch(text)
    if read is None or read["kind"] not in frozenset(AuditKind):
        raise invalid_request("after has to be the id of an entry", param="after")
    return AuditPlace(at=float(read["at"]), kind=AuditKind(read["kind"]), number=int(read["number"]))
