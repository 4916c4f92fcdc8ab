"""Who watches the job that is being worked on, without loading what tracing needs."""

from contextvars import ContextVar
from typing import Final, Protocol

from optimizer.protocols import SearchObserver


class JobWatch(Protocol):
    """Watches one attempt at a job."""

    def search(self, observer: SearchObserver) -> SearchObserver:
        """``observer``, in front of which this hears what a search does."""
        ...


CURRENT: Final[ContextVar[JobWatch | None]] = ContextVar("job_watch", default=None)
"""Of the job that is being worked on; None where nobody watches it, or there is none."""


def watching(observer: SearchObserver) -> SearchObserver:
    """``observer``, behind whoever watches the current job."""
    watch = CURRENT.get()
    return observer if watch is None else watch.search(observer)
