"""The states of a job and everything that leads from one to another; the only writer of ``status``.

A running job's worker is asked by a flag (``cancel_requested``, ``pause_requested``) and changes the state
once it has stopped; where it is dead, the next worker that looks for work does so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Update, or_, update

from store.models.optimization import Optimization
from store.records.optimizations import OptimizationStatus

_QUEUED, _RUNNING, _PAUSED = (
    OptimizationStatus.QUEUED,
    OptimizationStatus.RUNNING,
    OptimizationStatus.PAUSED,
)


class Cause(StrEnum):
    """What changes a state."""

    CLAIMED = "claimed"
    PAUSED = "paused"
    BACKEND_AWAY = "backend_away"
    RESUMED = "resumed"
    BACKEND_BACK = "backend_back"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """From any of ``sources`` to ``target``, and when (``why``)."""

    sources: frozenset[OptimizationStatus]
    target: OptimizationStatus
    why: str


TRANSITIONS: Final[Mapping[Cause, Transition]] = {
    Cause.CLAIMED: Transition(
        sources=frozenset({_QUEUED, _RUNNING}),
        target=_RUNNING,
        why="a worker takes it; one that runs only after its lease has run out",
    ),
    Cause.PAUSED: Transition(
        sources=frozenset({_QUEUED, _RUNNING}),
        target=_PAUSED,
        why="somebody asked for it; one that runs only after its worker has stopped or died",
    ),
    Cause.BACKEND_AWAY: Transition(
        sources=frozenset({_RUNNING}),
        target=_PAUSED,
        why="its worker gave up on a backend that is away",
    ),
    Cause.RESUMED: Transition(
        sources=frozenset({_PAUSED}),
        target=_QUEUED,
        why="somebody asked for it",
    ),
    Cause.BACKEND_BACK: Transition(
        sources=frozenset({_PAUSED}),
        target=_QUEUED,
        why="the backend that it was paused for answers again",
    ),
    Cause.CANCELLED: Transition(
        sources=frozenset({_QUEUED, _RUNNING, _PAUSED}),
        target=OptimizationStatus.CANCELLED,
        why="somebody asked for it; one that runs only after its worker has stopped or died",
    ),
    Cause.SUCCEEDED: Transition(
        sources=frozenset({_RUNNING}),
        target=OptimizationStatus.SUCCEEDED,
        why="it has found what it can",
    ),
    Cause.FAILED: Transition(
        sources=frozenset({_RUNNING}),
        target=OptimizationStatus.FAILED,
        why="it cannot be done",
    ),
}

FIRST_STATES: Final = frozenset({_QUEUED, OptimizationStatus.SUCCEEDED})
"""A job that is made with its result has succeeded from the start."""

ENDINGS: Final[Mapping[OptimizationStatus, Cause]] = {
    OptimizationStatus.SUCCEEDED: Cause.SUCCEEDED,
    OptimizationStatus.FAILED: Cause.FAILED,
    OptimizationStatus.CANCELLED: Cause.CANCELLED,
}


def move(cause: Cause) -> Update:
    """The UPDATE that ``cause`` makes, of rows in a state that allows it; narrow it down to one."""
    transition = TRANSITIONS[cause]
    # not IN: SQLAlchemy would write that list anew for each execution
    allowed = or_(*(Optimization.status == source.value for source in sorted(transition.sources)))
    return update(Optimization).where(allowed).values(status=transition.target.value)
