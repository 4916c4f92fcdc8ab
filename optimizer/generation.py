"""Where a racing search's candidates come from: briefs to the proposer, and known instructions combined."""

import asyncio
import random
from collections.abc import Sequence
from itertools import chain

import numpy as np

from optimizer.aims import AimSource
from optimizer.archive import pick_parent
from optimizer.bearing import InstructionReader
from optimizer.brief import Brief, EarlierPrompt
from optimizer.concurrency import run_together
from optimizer.config import SearchConfig
from optimizer.events import CandidateProposed, ProposalFailed
from optimizer.prompt_lines import PromptLines, read_prompt, write_prompt
from optimizer.protocols import Reflector, SearchObserver
from optimizer.recombination import Bench, choose_instructions, choose_introduction
from optimizer.seeds import derive_seed
from optimizer.standings import SEED_ID, Standings
from optimizer.types import Candidate, Evaluation, Proposal, Scored

RECOMBINED = "recombination"
"""What stands for a template version where no proposer was asked."""
_READ_AT_ONCE = 60
"""Instructions in one request to the reader: their reply has to fit the usual limit of tokens."""


class Generation:
    """Makes the candidates of each round."""

    def __init__(
        self,
        standings: Standings,
        proposer: Reflector,
        observer: SearchObserver,
        config: SearchConfig,
        reader: InstructionReader | None = None,
    ) -> None:
        """New candidates go into ``standings``; ``config.racing`` is set.

        With a ``reader`` the standings learn what new instructions are about; ``readings`` counts what was
        asked of it.
        """
        if config.racing is None:
            raise ValueError("the settings are those of a beam search")
        self._standings = standings
        self._proposer = proposer
        self._observer = observer
        self._config = config
        self._racing = config.racing
        self._reader = reader
        self._read = set(read_prompt(standings.candidates[SEED_ID].system_prompt).instructions)
        self.readings = 0

    async def propose(self, round_number: int, requests: int) -> tuple[list[str], frozenset[str]]:
        """Ask the proposer ``requests`` times at once: for the leader, and for others of the Pareto front.

        Returns:
            The new candidates, and the criteria aimed at.

        Raises:
            ModelError: the proposer cannot be reached.
            BudgetExceededError: no call left.
        """
        rng = random.Random(derive_seed(self._config.seed, "aims", round_number))
        parents = self._parents(requests, round_number, rng)
        source = AimSource(posterior=self._standings.posterior, parent_id=parents[0], count=self._racing.aims)
        briefs = [
            self._brief(parent, aims)
            for parent, aims in zip(parents, source.draw(requests, rng), strict=True)
        ]
        count = self._config.proposals_per_candidate
        replies = await run_together(
            self._proposer.propose(brief, draw=briefs[:slot].count(brief), count=count)
            for slot, brief in enumerate(briefs)
        )
        made: list[str] = []
        for slot, (brief, proposals) in enumerate(zip(briefs, replies, strict=True)):
            for place, proposal in enumerate(proposals):
                candidate_id = f"c{round_number}.{slot}.{place}"
                taken = await self._take(brief, proposal, candidate_id, round_number)
                if taken is None:
                    made.append(candidate_id)
                    continue
                await self._observer.notify(
                    ProposalFailed(
                        round=round_number,
                        parent_id=brief.parent.id,
                        proposal_slot=slot * count + place,
                        reason=taken,
                    )
                )
        await self._read_new(made)
        return made, frozenset(name for brief in briefs for name in brief.aims)

    async def _read_new(self, made: Sequence[str]) -> None:
        """Have what is new in the candidates ``made`` read; of what is not understood its aims stay."""
        if self._reader is None:
            return
        found = (read_prompt(self._standings.candidates[name].system_prompt).instructions for name in made)
        new = [text for text in dict.fromkeys(chain.from_iterable(found)) if text not in self._read]
        self._read.update(new)
        criteria = sorted(self._standings.answers)
        for first in range(0, len(new), _READ_AT_ONCE):
            part = new[first : first + _READ_AT_ONCE]
            self.readings += 1
            bearings = await self._reader.read(part, criteria)
            for text, bearing in zip(part, bearings, strict=True):
                if bearing is not None:
                    self._standings.describe(text, bearing)

    async def recombine(self, round_number: int, count: int) -> list[str]:
        """Put ``count`` candidates together from known instructions: one by the means, others by draws."""
        leader = self._standings.candidates[self._standings.leader()]
        lines = read_prompt(leader.system_prompt)
        instructions = self._known_instructions()
        if not instructions:
            return []
        bench = Bench(
            instructions=instructions,
            most=self._racing.max_instructions,
            price=self._racing.length_price / 100,
        )
        introduction = choose_introduction(
            self._known_introductions(leader.id), self._standings.posterior, price=bench.price
        )
        made = []
        for place in range(count):
            seed = derive_seed(self._config.seed, "recombination", round_number, place)
            chosen = await asyncio.to_thread(
                choose_instructions,
                bench,
                lines.instructions,
                self._standings.posterior,
                rng=np.random.default_rng(seed) if place else None,
            )
            text = write_prompt(PromptLines(introduction=introduction, instructions=chosen))
            candidate = Candidate(
                id=f"c{round_number}.r.{place}",
                system_prompt=text,
                parent_id=leader.id,
                round=round_number,
                rationale="instructions of earlier candidates, chosen by what they have done so far",
            )
            if text and self._fits(text) and self._standings.add(candidate, ()):
                await self._observer.notify(
                    CandidateProposed(candidate=candidate, template_version=RECOMBINED)
                )
                made.append(candidate.id)
        return made

    def _parents(self, requests: int, round_number: int, rng: random.Random) -> list[str]:
        """The leader for every request of the first round and for one of each later one."""
        leader = self._standings.leader()
        if round_number == 1:
            return [leader] * requests
        posterior = self._standings.posterior
        means = {name: posterior.criterion_means(name) for name in self._standings.scored()}
        return [leader, *(pick_parent(means, rng) for _ in range(requests - 1))]

    def _brief(self, parent_id: str, aims: tuple[str, ...]) -> Brief:
        standings, posterior = self._standings, self._standings.posterior
        others = [name for name in standings.scored() if name not in {parent_id, SEED_ID}]
        ranked = sorted(others, key=lambda name: -posterior.reward(name))[: self._racing.earlier]
        return Brief(
            parent=standings.candidates[parent_id],
            aims=aims,
            means=posterior.criterion_means(parent_id),
            answers=dict(standings.answers),
            failures=self._failures(parent_id, aims),
            earlier=tuple(
                EarlierPrompt(
                    system_prompt=standings.candidates[name].system_prompt, reward=posterior.reward(name)
                )
                for name in ranked
            ),
        )

    def _failures(self, parent_id: str, aims: Sequence[str]) -> tuple[Evaluation, ...]:
        """The parent's worst answers on the aims; the seed prompt's where it has too few of its own."""
        found: list[Evaluation] = []
        for name in dict.fromkeys((parent_id, SEED_ID)):
            scored = [
                (_how_bad(item.score, aims), query_id, item)
                for query_id, item in self._standings.evaluations[name].items()
                if isinstance(item.score, Scored)
            ]
            ranked = sorted(scored, key=lambda entry: entry[:2])
            found += [item for _, _, item in ranked[: self._racing.failures - len(found)]]
        return tuple(found)

    async def _take(
        self, brief: Brief, proposal: Proposal, candidate_id: str, round_number: int
    ) -> str | None:
        """Why ``proposal`` is no new candidate; None where it is one now."""
        if proposal.system_prompt is None:
            return proposal.rationale
        if not self._fits(proposal.system_prompt):
            return f"it is longer than {self._racing.max_prompt_length} characters"
        candidate = Candidate(
            id=candidate_id,
            system_prompt=proposal.system_prompt,
            parent_id=brief.parent.id,
            round=round_number,
            rationale=proposal.rationale,
        )
        if not self._standings.add(candidate, brief.aims):
            return "the same prompt was tried before"
        await self._observer.notify(
            CandidateProposed(candidate=candidate, template_version=self._proposer.template_version)
        )
        return None

    def _fits(self, text: str) -> bool:
        return len(text) <= self._racing.max_prompt_length

    def _known_introductions(self, leader_id: str) -> tuple[str, ...]:
        """The leader's and those of all that were scored, of prompts that have a list below them."""
        found: dict[str, None] = {}
        for name in (leader_id, *self._standings.scored()):
            lines = read_prompt(self._standings.candidates[name].system_prompt)
            if lines.instructions or name == leader_id:
                found[lines.introduction] = None
        return tuple(found)

    def _known_instructions(self) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for candidate in self._standings.candidates.values():
            found.update(dict.fromkeys(read_prompt(candidate.system_prompt).instructions))
        return tuple(found)


def _how_bad(score: Scored, aims: Sequence[str]) -> tuple[int, float]:
    on_aim = [item.score for item in score.criteria if item.criterion in aims]
    return (0 if on_aim else 1), min(on_aim, default=score.reward)
