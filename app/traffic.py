"""Counting how served requests end: in memory as they end, and in the store every few seconds."""

from typing import Final

from app.background import BackgroundLoop
from app.outcomes import Outcome, OutcomeFeed
from app.tallies import Tallies
from store.records.schedules import TrafficTally
from store.repositories.traffic import TrafficRepository

_FLUSH_SECONDS = 5.0
_PRUNE_EVERY = 720
"""Flushes, about an hour."""
KEEP_SECONDS: Final = 90 * 86_400.0
_ANSWERING = ("/completions", "/responses")
_ANSWERED: Final = TrafficTally(answered=1)
"""What nearly all requests count as."""
_BACKENDS_FAULT = frozenset(
    {"backend_unavailable", "backend_misconfigured", "backend_malformed", "rate_limit_exceeded"}
)


class TrafficCounter:
    """Counts outcomes; what a kill loses is at most a few seconds of counts."""

    def __init__(self, traffic: TrafficRepository, feed: OutcomeFeed) -> None:
        """A counter of what ``feed`` announces, which writes to ``traffic``."""
        self._traffic = traffic
        self._flushes = 0
        feed.listen(self.note)
        self._counted: Tallies[tuple[str, str], TrafficTally] = Tallies(traffic.add, what="requests")

    def in_background(self) -> BackgroundLoop:
        """Writing what was counted, now and then and at the end."""
        return BackgroundLoop("traffic counter", self._write, every_seconds=_FLUSH_SECONDS, last=self.flush)

    def note(self, outcome: Outcome) -> None:
        """Count one request."""
        tally = tally_of(outcome)
        if tally is not None:
            key = (outcome.model, outcome.version_id or "")
            self._counted.add(key, tally)

    async def flush(self) -> None:
        """Write what was counted; where the store is away it waits for the next time."""
        await self._counted.flush()

    async def _write(self) -> None:
        await self.flush()
        self._flushes += 1
        if self._flushes % _PRUNE_EVERY == 0:
            await self._traffic.prune(keep_seconds=KEEP_SECONDS)


def tally_of(outcome: Outcome) -> TrafficTally | None:
    """What ``outcome`` counts as; None for what says nothing about answers."""
    return tally_of_ending(outcome) if outcome.endpoint.endswith(_ANSWERING) else None


def tally_of_ending(outcome: Outcome) -> TrafficTally | None:
    """What ``outcome`` counts as, whatever endpoint was asked; None for what says nothing about answers.

    A client that leaves says nothing, nor does a request that was wrong itself.
    """
    if outcome.ending == "client_left":
        return None
    if outcome.ending == "failed":
        return TrafficTally(upstream_errors=1) if outcome.error_code in _BACKENDS_FAULT else None
    usage = outcome.usage
    truncated = outcome.finish_reason == "length"
    refused = outcome.finish_reason == "content_filter"
    empty = not (truncated or refused) and usage is not None and usage.completion_tokens == 0
    if not (truncated or refused or empty):
        return _ANSWERED
    return TrafficTally(answered=1, truncated=int(truncated), refused=int(refused), empty=int(empty))
