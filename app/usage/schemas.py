"""What the usage endpoint gives."""

import datetime as dt
from typing import Literal

from pydantic import BaseModel


class UsageEntry(BaseModel):
    """The use of one group; what it is not grouped by is null.

    Attributes:
        day: in UTC.
        key_id / key_name: null also for callers without a key of their own.
        failed / client_left: requests among ``requests`` that were not answered to their end.
        estimated: requests whose tokens the backend has not counted.
        cost: in the currency of the configured prices.
    """

    day: dt.date | None
    key_id: str | None
    key_name: str | None
    model: str | None
    requests: int
    failed: int
    client_left: int
    estimated: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: float


class UsageReport(BaseModel):
    """Use of models by requests, newest day first; jobs have accounts of their own.

    Attributes:
        since / until: the days that it covers, both included.
        has_more: whether there are more groups than are shown: ask for fewer days.
    """

    object: Literal["list"] = "list"
    since: dt.date
    until: dt.date
    data: list[UsageEntry]
    has_more: bool
