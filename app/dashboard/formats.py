"""Numbers and times as people read them. What is not known is a dash."""

import json
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from optimizer.types import JsonValue

UNKNOWN: Final = "\u2013"
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_SHORT: Final = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"))
"""From which number on which unit is used, its size and its sign."""


def count(value: float | None) -> str:
    """A count with separators: 12,345."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def amount(value: float | None) -> str:
    """A large count in short: 12.3k."""
    if value is None:
        return UNKNOWN
    for least, size, unit in _SHORT:
        if value >= least:
            return f"{value / size:.1f}{unit}"
    return f"{value:,.0f}"


def money(value: float | None) -> str:
    """Money in the currency of the configured prices; small sums with the digits that matter."""
    if value is None:
        return UNKNOWN
    return f"{value:,.2f}" if value == 0 or value >= 1 else f"{value:.4f}"


def reward(value: float | None) -> str:
    """A reward, 1 to 5, with two digits."""
    return UNKNOWN if value is None else f"{value:.2f}"


def signed(value: float | None) -> str:
    """A difference with its sign."""
    return UNKNOWN if value is None else f"{value:+.2f}"


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units: 1 h 5 min."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def as_json(value: JsonValue) -> str:
    """A value as JSON that people read; it is no markup."""
    return json.dumps(value, ensure_ascii=False, indent=1)


def moment(seconds: float | None) -> Markup | str:
    """A time in UTC, which a module of ours turns into the reader's own."""
    if seconds is None:
        return UNKNOWN
    at = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        f"{at:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%d %H:%M} UTC"
    )


FILTERS: Final = {
    "amount": amount,
    "as_json": as_json,
    "count": count,
    "duration": duration,
    "moment": moment,
    "money": money,
    "reward": reward,
    "signed": signed,
}
