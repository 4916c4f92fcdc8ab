"""What a search announces while it runs.

Every event has a ``key`` that is the same whenever the same thing happens in a run with the same seed, so
that a recorder can ignore what it has already recorded (a killed run replays its past).
"""

from dataclasses import dataclass
from typing import TypeAlias

from optimizer.reliability import JudgeReport
from optimizer.types import Candidate, Evaluation, SearchResult
from optimizer.verdicts import Conclusion


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchStarted:
    """The search begins with its seed prompt."""

    seed_prompt: Candidate
    max_rounds: int
    queries: int

    @property
    def key(self) -> str:
        """Idempotency key."""
        return "search_started"


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundStarted:
    """A round begins; all its candidates see these queries."""

    round: int
    query_ids: tuple[str, ...]

    @property
    def key(self) -> str:
        """Idempotency key."""
        return f"round_started:{self.round}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateKept:
    """A candidate is carried on unchanged instead of being rewritten.

    Attributes:
        reason: ``easy`` (all perfect or above the skip threshold), ``unscored`` (no evidence to rewrite from)
            or ``no_proposal`` (the proposer gave none that could be read).
    """

    round: int
    slot: int
    candidate_id: str
    reason: str

    @property
    def key(self) -> str:
        """Idempotency key."""
        return f"candidate_kept:{self.round}:{self.slot}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateProposed:
    """The proposer wrote a new candidate."""

    candidate: Candidate
    template_version: str

    @property
    def key(self) -> str:
        """Idempotency key."""
        return f"candidate_proposed:{self.candidate.id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalFailed:
    """A proposal could not be read, also after the repair request."""

    round: int
    parent_id: str
    proposal_slot: int
    reason: str

    @property
    def key(self) -> str:
        """Idempotency key."""
        return f"proposal_failed:{self.round}:{self.parent_id}:{self.proposal_slot}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationFinished:
    """A candidate's answer to a query was judged, or ended unscored."""

    evaluation: Evaluation

    @property
    def key(self) -> str:
        """Idempotency key."""
        rollout = self.evaluation.rollout
        return f"evaluation:{self.evaluation.round}:{rollout.candidate_id}:{rollout.query.id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateDropped:
    """A candidate left a race.

    Attributes:
        reason: ``beaten`` (the confidence sequence of its difference to the leader lies below zero) or
            ``unpromising`` (the budget is better spent on others; this claims nothing).
        leader_id: whom it was compared with.
        pairs: queries that both had answered.
        difference: mean of the paired differences; None where there are none.
    """

    round: int
    candidate_id: str
    reason: str
    leader_id: str
    pairs: int
    difference: float | None

    @property
    def key(self) -> str:
        """Idempotency key."""
        return self.key_of(self.round, self.candidate_id)

    @staticmethod
    def key_of(round_: int, candidate_id: str) -> str:
        """The key of the event that drops a candidate in a round."""
        return f"candidate_dropped:{round_}:{candidate_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalistsCompared:
    """Two finalists whose rewards do not tell them apart were compared pair by pair, in both orders.

    Attributes:
        pairs: answers compared; ``uncompared`` of them could not be.
        preference: mean preference, -1 (the first) to 1 (the second).
        winner_id: the one that goes on.
    """

    round: int
    first_id: str
    second_id: str
    pairs: int
    uncompared: int
    preference: float
    winner_id: str

    @property
    def key(self) -> str:
        """Idempotency key."""
        return f"finalists_compared:{self.round}:{self.first_id}:{self.second_id}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RankedPath:
    """One lineage in a round's ranking.

    Attributes:
        candidate_id: the prompt that it ends in.
        reward: what it was ranked by, 1..5; None where nothing along it was scored.
        round_reward: mean reward in this round; None where unscored.
        kept: whether it stays in the beam.
    """

    candidate_id: str
    reward: float | None
    round_reward: float | None
    kept: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundFinished:
    """A round is over: the ranking, best first, and how many rounds may still come."""

    round: int
    ranking: tuple[RankedPath, ...]
    rounds_left: int

    @property
    def key(self) -> str:
        """Idempotency key."""
        return f"round_finished:{self.round}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchFinished:
    """The search is over."""

    result: SearchResult

    @property
    def key(self) -> str:
        """Idempotency key."""
        return "search_finished"


@dataclass(frozen=True, kw_only=True, slots=True)
class GateStarted:
    """The finalists and the prompt that is served now are about to meet on held-out queries.

    Attributes:
        incumbent: what is served now.
        finalists: the candidates that may take its place.
        seed_prompt: where the search started, where it is compared and is neither of them.
        queries: how many held-out queries they meet on.
    """

    incumbent: Candidate
    finalists: tuple[Candidate, ...]
    seed_prompt: Candidate | None
    queries: int

    @property
    def key(self) -> str:
        """Idempotency key."""
        return "gate_started"


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeChecked:
    """It is known how far the judge can be relied on."""

    report: JudgeReport

    @property
    def key(self) -> str:
        """Idempotency key."""
        return "judge_checked"


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFinished:
    """The gate has come to a verdict."""

    conclusion: Conclusion

    @property
    def key(self) -> str:
        """Idempotency key."""
        return "gate_finished"


SearchEvent: TypeAlias = (
    SearchStarted
    | RoundStarted
    | CandidateKept
    | CandidateProposed
    | ProposalFailed
    | EvaluationFinished
    | CandidateDropped
    | FinalistsCompared
    | RoundFinished
    | SearchFinished
    | GateStarted
    | JudgeChecked
    | GateFinished
)
