"""The trace that a request belongs to, from its caller to the backend (W3C Trace Context).

Nothing here needs OpenTelemetry: where nothing is traced, the caller's own parent is passed on.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, Generic, TypeVar

T = TypeVar("T")

TRACEPARENT: Final = "traceparent"
_FORM: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_NOTHING: Final[Mapping[str, str]] = {}
_OUTGOING: ContextVar[Mapping[str, str]] = ContextVar("outgoing", default=_NOTHING)


def trace_id_of(traceparent: str) -> str | None:
    """The id of the trace that the header names; None where it has not the form of version 00."""
    match = _FORM.fullmatch(traceparent)
    return None if match is None else match[1]


def outgoing_headers() -> Mapping[str, str]:
    """The headers that tell a backend which trace a call belongs to; empty where it belongs to none."""
    return _OUTGOING.get()


class Holding(Generic[T]):
    """``with`` it a context variable has a value, also in tasks that begin inside."""

    __slots__ = ("_token", "_value", "_variable")

    def __init__(self, variable: ContextVar[T], value: T) -> None:
        """``variable`` is to have ``value``."""
        self._variable = variable
        self._value = value

    def __enter__(self) -> None:
        """Begin."""
        self._token = self._variable.set(self._value)

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Go on with what was before."""
        self._variable.reset(self._token)


def passing_on(headers: Mapping[str, str]) -> Holding[Mapping[str, str]]:
    """Calls that are sent inside, in tasks that begin there as well, carry ``headers``."""
    return Holding(_OUTGOING, headers)
