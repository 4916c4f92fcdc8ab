"""How HTTP requests end: told once each, to whoever counts or logs them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.types import Scope

from app.telemetry.current import ActiveRequest
from app.telemetry.timing import Part
from optimizer.quick_values import quick

_LOGGER = logging.getLogger(__name__)
UNMATCHED: Final = "unmatched"
"""The route of a request that meets none."""
_LEFT: Final = 499
"""The status of a request whose client has left before its answer began."""


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class RequestReport:
    """How one request was answered.

    Attributes:
        request: the request.
        method / route: its method, and the pattern of the path that answers it, such as ``/v1/keys/{id}``.
        status: of its answer; 499 where the client left before there was one.
        seconds: to the end of the answer.
        parts: where the time until its beginning went; None where no model was asked for.
    """

    request: ActiveRequest
    method: str
    route: str
    status: int
    seconds: float
    parts: Mapping[Part, float] | None


ReportListener: TypeAlias = Callable[[RequestReport], None]
"""Takes note at once and waits for nothing."""


class RequestReports:
    """Passes reports on."""

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._listeners: list[ReportListener] = []

    def listen(self, listener: ReportListener) -> None:
        """Tell ``listener`` of every request from now on."""
        self._listeners.append(listener)

    def tell(
        self, request: ActiveRequest, scope: Scope, status: int | None, parts: Mapping[Part, float] | None
    ) -> None:
        """Tell everybody how ``request`` was answered; who fails hurts neither it nor the others."""
        report = RequestReport(
            request=request,
            method=scope["method"],
            route=getattr(scope.get("route"), "path", UNMATCHED),
            status=_LEFT if status is None else status,
            seconds=request.timings.elapsed(),
            parts=parts,
        )
        for listener in self._listeners:
            try:
                listener(report)
            except Exception:
                _LOGGER.exception("the report of %s was lost to a listener", request.id)
