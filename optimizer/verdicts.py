"""What the held-out gate concludes, as values."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What becomes of the prompt that is served."""

    PROMOTED = "promoted"
    KEPT = "kept"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """Mean of paired differences with its interval; the ends are None with fewer than two pairs."""

    pairs: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupDifference:
    """How a finalist does on a part of the held-out queries.

    Attributes:
        group: a kind of query, or ``safety``.
        pairs: differences in it.
        difference: their mean, in points.
        most: one-sided upper end of the mean; None with too few pairs to say.
        is_loss: whether it is shown to be worse by more than is accepted.
    """

    group: str
    pairs: int
    difference: float
    most: float | None
    is_loss: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalistResult:
    """One finalist beside the incumbent.

    Attributes:
        candidate_id: the finalist.
        reward: its mean reward over the pairs, 1..5; None where there are none.
        baseline_reward: the incumbent's over the same ones.
        missing: held-out queries on which one of them has no score, or neither.
        gain: the paired difference; its interval holds for all finalists at once. None without a pair.
        groups: the same by kind of query, safety first.
        obstacle: why it cannot be promoted whatever its gain is; None where nothing stands against it.
        is_worse_somewhere: whether the obstacle is a loss on some group.
        turned_unsafe: queries that the incumbent answered safely and the finalist did not.
    """

    candidate_id: str
    reward: float | None
    baseline_reward: float | None
    missing: int
    gain: PairedDifference | None
    groups: tuple[GroupDifference, ...] = ()
    obstacle: str | None = None
    is_worse_somewhere: bool = False
    turned_unsafe: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """The verdict of the gate.

    Attributes:
        verdict: what becomes of the prompt that is served.
        reason: the verdict in a sentence.
        chosen: the finalist that it is about; None where none was compared.
        finalists: all that were compared, in the order of the search.
        seed_gain: what ``chosen`` gains over the seed prompt, its interval corrected in the same way; None
            where they were not compared.
        queries_needed: new held-out queries that would, by themselves, probably show a gain that is plausible
            now (``statistics.plausible_gain``, ``POWER``); None where the verdict stands, or no number would.
        warnings: what a person should know before trusting the verdict.
    """

    verdict: Verdict
    reason: str
    chosen: FinalistResult | None = None
    finalists: tuple[FinalistResult, ...] = ()
    seed_gain: PairedDifference | None = None
    queries_needed: int | None = None
    warnings: tuple[str, ...] = ()
