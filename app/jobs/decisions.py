"""What earlier attempts at a job have decided by its budget."""

from dataclasses import dataclass

from store.progress import ProgressLog
from store.records.optimizations import Lease


@dataclass(frozen=True, kw_only=True, slots=True)
class Decisions:
    """Decisions that a later attempt repeats.

    What it knows to be spent holds failed calls and the criteria of rounds that are still to come, by which
    it might decide otherwise.

    Attributes:
        rounds: rounds that have begun.
        search_ended: whether it was decided that no further one does.
        held_out: queries that the gate took; None where it has not begun.
    """

    rounds: int = 0
    search_ended: bool = False
    held_out: int | None = None


async def read_decisions(progress: ProgressLog, lease: Lease) -> Decisions:
    """The decisions that are on record when ``lease`` begins."""
    rounds, search_ended, held_out, seq = 0, False, None, 0
    while events := await progress.events_after(lease.optimization_id, seq):
        seq = events[-1].seq
        rounds += sum(event.type == "round_started" for event in events)
        search_ended |= any(event.type == "search_finished" for event in events)
        for event in events:
            if event.type == "gate_started" and isinstance(queries := event.body["queries"], int):
                held_out = queries
    return Decisions(rounds=rounds, search_ended=search_ended, held_out=held_out)
