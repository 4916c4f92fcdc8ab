"""What can go wrong in the store, as one tree.

StoreError
├── NotFoundError          no such row
├── ConflictError          the row is not in the state that the caller expected, or a constraint refuses it
│   └── JobStateError      what was asked of an optimization is not possible in its state
├── LostLeaseError         another owner holds the optimization, or nobody does any more: stop working on it
├── StoreUnavailableError  the database cannot be reached or is locked
└── UnusableStoreError     what is there is no database, or has a schema that this version does not know
"""

from collections.abc import Mapping
from typing import Final

_ENDED: Final = "look at it, replay, restart, clone or delete it"
_POSSIBLE: Final[Mapping[str, str]] = {
    "queued": "pause, cancel or change it",
    "running": "pause, cancel or change it",
    "paused": "resume, cancel or change it",
    "succeeded": _ENDED,
    "failed": _ENDED,
    "cancelled": _ENDED,
}


class StoreError(Exception):
    """Root of the store's errors."""


class NotFoundError(StoreError):
    """There is no such row."""


class ConflictError(StoreError):
    """The row is not in the expected state, or a constraint refuses the change."""


class JobStateError(ConflictError):
    """What was asked of an optimization is not possible in its state; the message says what is.

    Attributes:
        optimization_id: which one.
        status: its state.
    """

    def __init__(self, optimization_id: str, status: str, wanted: str) -> None:
        possible = _POSSIBLE.get(status, "wait until it has ended")
        super().__init__(f"{optimization_id} is {status} and cannot be {wanted}; possible now: {possible}")
        self.optimization_id = optimization_id
        self.status = status


class LostLeaseError(StoreError):
    """The optimization is not ours: its fence has moved on, or it has ended.

    Attributes:
        optimization_id: which one.
        fence: the fence that is no longer valid.
    """

    def __init__(self, optimization_id: str, fence: int) -> None:
        super().__init__(f"the lease on {optimization_id} with fence {fence} is lost")
        self.optimization_id = optimization_id
        self.fence = fence


class StoreUnavailableError(StoreError):
    """The database cannot be reached, or stayed locked for too long."""


class UnusableStoreError(StoreError):
    """What the URL names is no database, or one with a schema that this version does not know."""
