"""``/v1/usage``."""

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query

from app.auth import ServingPrincipal
from app.dependencies import CurrentResources
from app.usage.schemas import UsageReport
from app.usage.service import FIRST_DAY, report_usage
from store.records.usage import UsageGroup

Day = Annotated[dt.date, Query(ge=FIRST_DAY)]

router = APIRouter(prefix="/v1/usage", tags=["usage"])


@router.get("")
async def get_usage(
    resources: CurrentResources,
    principal: ServingPrincipal,
    group_by: Annotated[list[UsageGroup] | None, Query()] = None,
    since: Day | None = None,
    until: Day | None = None,
    key_id: str | None = None,
) -> UsageReport:
    """Requests, tokens and cost by day, key and model; a key without the scope admin sees its own."""
    groups = [UsageGroup.DAY] if group_by is None else group_by
    return await report_usage(resources, principal, groups, since=since, until=until, key_id=key_id)
