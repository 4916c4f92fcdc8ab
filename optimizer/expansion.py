"""What becomes of one lineage in a round: carried on or rewritten, and judged on the round's queries."""

from collections.abc import Sequence

from optimizer.concurrency import run_together
from optimizer.evaluation import Evaluator
from optimizer.events import CandidateKept, CandidateProposed, ProposalFailed
from optimizer.protocols import Proposer, SearchObserver
from optimizer.types import BeamPath, Candidate, Query


class Expander:
    """Grows lineages by one step."""

    def __init__(
        self, proposer: Proposer, evaluator: Evaluator, observer: SearchObserver, *, proposals: int
    ) -> None:
        """An expander that asks for ``proposals`` rewrites of each candidate."""
        self._proposer = proposer
        self._evaluator = evaluator
        self._observer = observer
        self._proposals = proposals

    async def expand(
        self,
        path: BeamPath,
        minibatch: Sequence[Query],
        *,
        round_number: int,
        slot: int,
        draw: int,
        kept_reason: str | None,
    ) -> list[BeamPath]:
        """The lineages that ``path`` grows into, in the order of the proposals.

        Args:
            path: a lineage of the beam.
            minibatch: the round's queries.
            round_number: the round.
            slot: the place of ``path`` in the beam.
            draw: lineages before it there that end in the same prompt.
            kept_reason: why its prompt is carried on unchanged, or None to have it rewritten. A prompt whose
                rewrites cannot be read is carried on as well, so a beam never dies of bad replies.
        """
        candidates: list[Candidate] = []
        if kept_reason is None:
            candidates = await self._propose(path, round_number, slot, draw)
        if not candidates:
            await self._observer.notify(
                CandidateKept(
                    round=round_number,
                    slot=slot,
                    candidate_id=path.candidate.id,
                    reason=kept_reason or "no_proposal",
                )
            )
            candidates = [path.candidate]
        steps = await run_together(
            self._evaluator.evaluate(candidate, minibatch, round_number=round_number)
            for candidate in candidates
        )
        return [BeamPath(steps=(*path.steps, step)) for step in steps]

    async def _propose(self, path: BeamPath, round_number: int, slot: int, draw: int) -> list[Candidate]:
        parent = path.candidate
        proposals = await self._proposer.propose(
            path, round_number=round_number, slot=slot, draw=draw, count=self._proposals
        )
        candidates = []
        for position, proposal in enumerate(proposals):
            if proposal.system_prompt is None:
                await self._observer.notify(
                    ProposalFailed(
                        round=round_number,
                        parent_id=parent.id,
                        proposal_slot=position,
                        reason=proposal.rationale,
                    )
                )
                continue
            candidate = Candidate(
                id=f"c{round_number}.{slot}.{position}",
                system_prompt=proposal.system_prompt,
                parent_id=parent.id,
                round=round_number,
                rationale=proposal.rationale,
            )
            await self._observer.notify(
                CandidateProposed(candidate=candidate, template_version=self._proposer.template_version)
            )
            candidates.append(candidate)
        return candidates
