"""Whether the prompt in use fails more often than it used to, by a measure of failures."""

from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from app.schedules.triggers import DriftTrigger
from optimizer.drift import DriftVerdict, FailureCount, compare
from store.repositories.traffic import TrafficRepository


class FailureMeasure(Protocol):
    """Says which share of a prompt's requests failed in a period."""

    async def count(self, model: str, version_id: str | None, *, since: float, until: float) -> FailureCount:
        """Requests and failures of a prompt version (None: without one).

        Args:
            model: the target.
            version_id: the version that answered.
            since: where the period begins, in seconds before now.
            until: where it ends, likewise.
        """
        ...


@dataclass(frozen=True, slots=True)
class CountedFailures(FailureMeasure):
    """Failures that are seen without a judge: answers cut at the token limit, filtered, or empty.

    A backend that is down is no failure of the prompt: searching another one would help nobody.
    """

    traffic: TrafficRepository

    @override
    async def count(self, model: str, version_id: str | None, *, since: float, until: float) -> FailureCount:
        tally = await self.traffic.between(model, version_id or "", since=since, until=until)
        failures = tally.truncated + tally.refused + tally.empty
        return FailureCount(requests=tally.answered, failures=failures)


async def look_for_drift(
    trigger: DriftTrigger, measure: FailureMeasure, model: str, version_id: str | None
) -> DriftVerdict:
    """Compare the last window with the time before it, for one version: another is another prompt."""
    window = trigger.window_seconds
    recent = await measure.count(model, version_id, since=window, until=0.0)
    reference = await measure.count(model, version_id, since=window + trigger.reference_seconds, until=window)
    return compare(reference, recent, trigger.rule)
