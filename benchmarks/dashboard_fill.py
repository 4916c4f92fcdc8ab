"""A store as it is after years: a job of 10,000 candidates, a target with 1,000 prompt versions, their logs.

All of it is written through the repositories, as jobs and people write it; texts are drawn by a seed.
"""

import random
from dataclasses import dataclass
from typing import Final

from app.jobs.software import this_software
from app.resources import Resources
from optimizer.events import CandidateDropped
from store.json_values import JsonObject
from store.progress import ProgressLog
from store.records.datasets import QueryRecord
from store.records.optimizations import Lease, OptimizationStatus
from store.records.progress import CandidateDraft, EvaluationDraft, EventDraft, ProgressBatch, RoundDraft
from store.records.prompts import LabelMoveDraft, PromptVersionDraft

SEED_ID: Final = "c0"
_CRITERIA: Final = ("Empathy", "Clarity", "Accuracy", "Brevity", "Practical steps")
_LABELS: Final = ("production", "staging", "canary")
_WORDS: Final = tuple(
    "answer the question first and say what you do not know give one step that helps ask".split()  # noqa: SIM905
)
_LEASE_SECONDS: Final = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """How much there is.

    Attributes:
        candidates: of the job, the seed prompt left out.
        rounds: that they come in.
        rollouts: of each candidate.
        versions: of the target.
        moves: of its labels.
        sets: of queries.
    """

    candidates: int = 10_000
    rounds: int = 250
    rollouts: int = 4
    versions: int = 1_000
    moves: int = 2_500
    sets: int = 1_000


class LargeJob:
    """A job's record as a race writes it, round by round."""

    def __init__(self, extent: Extent) -> None:
        """Nothing is drawn yet."""
        self._extent = extent
        self._random = random.Random(7)
        self._leader = SEED_ID
        self._best = 3.0
        self._parent = SEED_ID

    def first(self) -> ProgressBatch:
        """The seed prompt's round."""
        body: JsonObject = {"candidate_id": SEED_ID, "max_rounds": self._extent.rounds, "queries": 100}
        return ProgressBatch(
            candidates=(CandidateDraft(id=SEED_ID, system_prompt=self.text(60)),),
            evaluations=tuple(self._evaluation(SEED_ID, 0, place, self._best) for place in range(20)),
            rounds=(self._round(0, [(SEED_ID, self._best)]),),
            events=(EventDraft(key="search_started", type="search_started", body=body),),
        )

    def round(self, number: int) -> ProgressBatch:
        """Round ``number``, from 1 on: written, judged, ranked, and all but the best dropped."""
        each = self._extent.candidates // self._extent.rounds
        first = (number - 1) * each + 1
        drafts = [self._candidate(first + place, number) for place in range(each)]
        worth = {draft.id: self._random.gauss(3.2 + number / self._extent.rounds, 0.3) for draft in drafts}
        evaluations = [
            self._evaluation(draft.id, number, place, worth[draft.id])
            for draft in drafts
            for place in range(self._extent.rollouts)
        ]
        self._parent = max(worth, key=worth.__getitem__)
        ranked = sorted({**worth, self._leader: self._best}.items(), key=lambda item: -item[1])
        self._leader, self._best = ranked[0]
        finished = self._round(number, ranked)
        events = [
            *(self._proposed(draft) for draft in drafts),
            *(_judged(draft) for draft in evaluations),
            *(self._dropped(name, number) for name, _ in ranked[1:]),
            _finished(finished),
        ]
        return ProgressBatch(
            candidates=tuple(drafts), evaluations=tuple(evaluations), rounds=(finished,), events=tuple(events)
        )

    def text(self, words: int) -> str:
        """So many words."""
        return " ".join(self._random.choices(_WORDS, k=words))

    def _candidate(self, number: int, round_: int) -> CandidateDraft:
        return CandidateDraft(
            id=f"c{number}",
            system_prompt=self.text(150),
            parent_id=self._parent,
            round=round_,
            rationale=self.text(30),
            template_version="drawn",
        )

    def _evaluation(self, candidate: str, round_: int, place: int, worth: float) -> EvaluationDraft:
        query = f"q{place + 1:03d}"
        scores = [float(min(5, max(1, round(self._random.gauss(worth, 0.8))))) for _ in _CRITERIA]
        criteria: list[JsonObject] = [
            {"criterion": name, "score": score, "rationale": self.text(20), "weight": 1.0}
            for name, score in zip(_CRITERIA, scores, strict=True)
        ]
        return EvaluationDraft(
            key=f"evaluation:{round_}:{candidate}:{query}",
            candidate_id=candidate,
            round=round_,
            query_id=query,
            query=self.text(25),
            answer=self.text(120),
            reward=sum(scores) / len(scores),
            criteria=tuple(criteria),
            models={"target": "simulated-small", "judge": "simulated-large"},
        )

    def _proposed(self, draft: CandidateDraft) -> EventDraft:
        body: JsonObject = {
            "candidate_id": draft.id,
            "parent_id": draft.parent_id,
            "round": draft.round,
            "rationale": draft.rationale,
            "system_prompt": draft.system_prompt,
        }
        return EventDraft(key=f"candidate_proposed:{draft.id}", type="candidate_proposed", body=body)

    def _dropped(self, candidate: str, round_: int) -> EventDraft:
        body: JsonObject = {
            "round": round_,
            "candidate_id": candidate,
            "reason": "unpromising",
            "leader_id": self._leader,
            "pairs": self._extent.rollouts,
            "difference": -0.5,
        }
        key = CandidateDropped.key_of(round_, candidate)
        return EventDraft(key=key, type="candidate_dropped", body=body)

    def _round(self, number: int, ranked: list[tuple[str, float]]) -> RoundDraft:
        names = [name for name, _ in ranked]
        return RoundDraft(
            round=number,
            ranking=tuple(
                {"candidate_id": name, "reward": worth, "round_reward": worth, "kept": not place}
                for place, (name, worth) in enumerate(ranked)
            ),
            best_candidate_id=names[0],
            best_reward=ranked[0][1],
            spend={"calls": 400 * (number + 1), "seconds": 30.0 * (number + 1)},
            rounds_left=self._extent.rounds - number,
            kept=(names[0],),
            dropped=tuple(names[1:]),
        )


async def begin_large_job(resources: Resources, extent: Extent) -> Lease:
    """Record the job that is queued alone, up to its last round; it still runs under this lease.

    Raises:
        RuntimeError: no job is queued.
    """
    lease = await claim(resources)
    log, job = ProgressLog(resources.database), LargeJob(extent)
    await log.record(lease, job.first())
    for number in range(1, extent.rounds + 1):
        await log.record(lease, job.round(number))
    return lease


async def claim(resources: Resources) -> Lease:
    """Work on the job that is queued alone.

    Raises:
        RuntimeError: no job is queued.
    """
    found = await resources.optimizations.claim_next(
        owner="benchmark", ttl=_LEASE_SECONDS, software=this_software()
    )
    if found is None:
        raise RuntimeError("no job is queued")
    return found.lease


async def end_job(resources: Resources, lease: Lease) -> None:
    """End the job as somebody who cancels it does."""
    await resources.optimizations.finish(lease, OptimizationStatus.CANCELLED)


async def store_versions(resources: Resources, model: str, extent: Extent) -> tuple[str, ...]:
    """Store the versions of ``model`` and move its labels; gives the ids, oldest first."""
    texts = LargeJob(extent)
    ids: list[str] = []
    for number in range(extent.versions):
        draft = PromptVersionDraft(
            model=model,
            system_prompt=f"{number}: {texts.text(150)}",
            sampling={},
            provenance={"how": "by_hand", "by": "benchmark"},
        )
        ids.append((await resources.prompts.add_version(draft)).id)
    await _move(resources, model, "first", ids[0])
    for number in range(extent.moves):
        await _move(resources, model, _LABELS[number % len(_LABELS)], ids[number % len(ids)])
    return tuple(ids)


async def store_sets(resources: Resources, extent: Extent) -> None:
    """Store the sets of queries."""
    for number in range(extent.sets):
        queries = [QueryRecord(id=f"q{place}", text=f"{number}: question {place}") for place in range(20)]
        await resources.datasets.add(f"set {number}", queries)


async def _move(resources: Resources, model: str, label: str, version: str) -> None:
    draft = LabelMoveDraft(model=model, label=label, version_id=version, actor="benchmark", reason="drawn")
    await resources.prompts.move_label(draft)


def _judged(draft: EvaluationDraft) -> EventDraft:
    body: JsonObject = {
        "candidate_id": draft.candidate_id,
        "query_id": draft.query_id,
        "round": draft.round,
        "reward": draft.reward,
        "unscored_reason": draft.unscored_reason,
    }
    return EventDraft(key=draft.key, type="evaluation_finished", body=body)


def _finished(draft: RoundDraft) -> EventDraft:
    body: JsonObject = {
        "round": draft.round,
        "rounds_left": draft.rounds_left,
        "ranking": list(draft.ranking),
    }
    return EventDraft(key=f"round_finished:{draft.round}", type="round_finished", body=body)
