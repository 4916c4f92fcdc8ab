"""What served requests have used, from the sums by day."""

import datetime as dt
from collections.abc import Iterable

from app.access.principal import Principal, Scope
from app.errors import invalid_request
from app.resources import Resources
from app.usage.schemas import UsageEntry, UsageReport
from store.records.usage import UsageGroup, UsageRow

FIRST_DAY = dt.date(1970, 1, 1)
"""Days are counted from it."""
_USUAL_DAYS = 30
_MOST_ROWS = 1000
_MILLION = 1_000_000


async def report_usage(
    resources: Resources,
    principal: Principal,
    groups: Iterable[UsageGroup],
    *,
    since: dt.date | None,
    until: dt.date | None,
    key_id: str | None,
) -> UsageReport:
    """The use of all keys, or of one; a caller without the scope ``admin`` sees its own.

    Args:
        resources: what this process works with.
        principal: who asks.
        groups: what to keep apart.
        since: first day; by default 29 days before ``until``.
        until: last day; by default today, in UTC.
        key_id: only this key's.

    Raises:
        ApiError: 400, the days are in the wrong order.
        NotFoundError: there is no such key.
    """
    usage = resources.access.usage
    last = until or FIRST_DAY + dt.timedelta(days=await usage.today())
    first = since or max(FIRST_DAY, last - dt.timedelta(days=_USUAL_DAYS - 1))
    if first > last:
        raise invalid_request("since lies after until", param="since")
    number: int | None = principal.key_number
    if principal.may(Scope.ADMIN):
        number = None if key_id is None else (await resources.access.keys.get(key_id)).number
    found = await usage.report(
        groups,
        since=(first - FIRST_DAY).days,
        until=(last - FIRST_DAY).days,
        key_number=number,
        limit=_MOST_ROWS + 1,
    )
    return UsageReport(
        since=first,
        until=last,
        data=[_entry(row) for row in found[:_MOST_ROWS] if row.sums.requests],
        has_more=len(found) > _MOST_ROWS,
    )


def _entry(row: UsageRow) -> UsageEntry:
    sums = row.sums
    return UsageEntry(
        day=None if row.day is None else FIRST_DAY + dt.timedelta(days=row.day),
        key_id=row.key_id,
        key_name=row.key_name,
        model=row.model,
        requests=sums.requests,
        failed=sums.failed,
        client_left=sums.client_left,
        estimated=sums.estimated,
        prompt_tokens=sums.prompt_tokens,
        completion_tokens=sums.completion_tokens,
        total_tokens=sums.prompt_tokens + sums.completion_tokens,
        cost=sums.micros / _MILLION,
    )
