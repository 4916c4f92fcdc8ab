"""Counting what comes of the arms of releases: in memory as requests end, in the store a moment later."""

from typing import Final

from app.background import BackgroundLoop
from app.outcomes import Outcome, OutcomeFeed
from app.tallies import Tallies
from app.traffic import tally_of_ending
from store.records.releases import ArmKey, ArmTally
from store.repositories.release_counts import ReleaseCountRepository

_FLUSH_SECONDS: Final = 1.0
_REFUSED: Final = "backend_refused"
"""The code of an error: the backend took the request for wrong, as one that is too long with its prompt."""


class ArmCounter:
    """Counts outcomes whose version a release chose; a kill loses about a second of counts."""

    def __init__(self, counts: ReleaseCountRepository, feed: OutcomeFeed) -> None:
        """A counter of what ``feed`` announces."""
        self._counted: Tallies[ArmKey, ArmTally] = Tallies(counts.add, what="the arms of releases")
        feed.listen(self.note)

    def in_background(self) -> BackgroundLoop:
        """Writing what was counted, now and then and at the end."""
        return BackgroundLoop("arms", self.flush, every_seconds=_FLUSH_SECONDS, last=self.flush)

    def note(self, outcome: Outcome) -> None:
        """Count one request."""
        drawn = None if outcome.ticket is None else outcome.ticket.drawn
        tally = None if drawn is None else _tally(outcome)
        if drawn is None or tally is None:
            return
        key = ArmKey(
            model=outcome.model, stretch=drawn.stretch, arm=drawn.arm, version_id=outcome.version_id or ""
        )
        self._counted.add(key, tally)

    async def flush(self) -> None:
        """Write what was counted; where the store is away it waits for the next time."""
        await self._counted.flush()


def _tally(outcome: Outcome) -> ArmTally | None:
    """What ``outcome`` counts as; None for what says nothing about a version.

    A failure is an answer that its user cannot use: none, a filtered one, or an empty one. An answer that is
    cut at the limit which its user has set is none. What the backend refuses is one, and counted apart as
    well: it may be the prompt's fault or the caller's.
    """
    refusals = int(outcome.ending == "failed" and outcome.error_code == _REFUSED)
    found = tally_of_ending(outcome)
    if found is None and not refusals:
        return None
    failed = 0 if found is None else found.upstream_errors + found.refused + found.empty
    return ArmTally(
        requests=1,
        errors=failed + refusals,
        refusals=refusals,
        tokens=outcome.counted.total_tokens,
        micros=outcome.micros,
        milliseconds=round(outcome.seconds * 1000),
    )
