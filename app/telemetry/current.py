"""Whom the code works for right now, a request or a job: for timing, log lines and traces."""

import time
from contextvars import ContextVar
from typing import Self, TypeAlias

from app.telemetry.propagation import Holding
from app.telemetry.timing import Part, Timings

Fact: TypeAlias = str | int | float | bool | None


class ActiveRequest:
    """A request that is being answered.

    Attributes:
        id: as in its answer's header.
        timings: where its time goes.
        is_served: whether it is answered by a model.
        trace_id: of the trace that it is part of, or None.
        facts: what its log line says beyond the usual; numbers and configured names, never content.
    """

    __slots__ = ("facts", "id", "is_served", "timings", "trace_id")

    def __init__(self, request_id: str) -> None:
        """The request called ``request_id``, which begins now."""
        self.id = request_id
        self.timings = Timings(time.perf_counter)
        self.is_served = False
        self.trace_id: str | None = None
        self.facts: dict[str, Fact] = {}


_REQUEST: ContextVar[ActiveRequest | None] = ContextVar("request", default=None)
_JOB: ContextVar[str | None] = ContextVar("job", default=None)


def current_request() -> ActiveRequest | None:
    """The request that is being answered, or None."""
    return _REQUEST.get()


def current_job() -> str | None:
    """The id of the job that is being worked on, or None."""
    return _JOB.get()


def note_model_request() -> None:
    """The current request is one for a model: its answer says where the time went."""
    request = _REQUEST.get()
    if request is not None:
        request.is_served = True


def answering(request: ActiveRequest) -> Holding[ActiveRequest | None]:
    """What happens inside, in tasks that begin there as well, is for ``request``."""
    return Holding(_REQUEST, request)


def working_on(job: str) -> Holding[str | None]:
    """What happens inside, in tasks that begin there as well, is for the job called ``job``."""
    return Holding(_JOB, job)


class timed:  # noqa: N801 - stands where a function would
    """``with timed(Part.STORE):`` gives the time inside to that part of the current request, if any."""

    __slots__ = ("_outer", "_part", "_timings")

    def __init__(self, part: Part) -> None:
        self._part = part

    def __enter__(self) -> Self:
        """Begin."""
        request = _REQUEST.get()
        self._timings = None if request is None else request.timings
        self._outer = self._part if self._timings is None else self._timings.enter(self._part)
        return self

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Go on with the part around it."""
        if self._timings is not None:
            self._timings.enter(self._outer)
