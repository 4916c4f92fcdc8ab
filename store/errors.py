"""What can go wrong in the store, as one tree.

StoreError
├── NotFoundError          no such row
├── ConflictError          the row is not in the state that the caller expected, or a constraint refuses it
├── LostLeaseError         another owner holds the optimization, or nobody does any more: stop working on it
├── StoreUnavailableError  the database cannot be reached or is locked
└── UnusableStoreError     what is there is no database, or has a schema that this version does not know
"""


class StoreError(Exception):
    """Root of the store's errors."""


class NotFoundError(StoreError):
    """There is no such row."""


class ConflictError(StoreError):
    """The row is not in the expected state, or a constraint refuses the change."""


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
