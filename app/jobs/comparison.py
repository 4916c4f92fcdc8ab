"""The gate of a job: who meets on the held-out queries, how many of them, and what comes of it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from app.jobs.decisions import Decisions
from app.jobs.gate_pace import GatePace
from app.jobs.recorder import INCUMBENT_ID
from app.jobs.reserve import affordable
from app.jobs.scoring import GateScorers
from app.jobs.wiring import SearchParts
from app.retrieval import RetrievalSpec
from app.stored_examples import example_from_json
from optimizer.budget import Budget
from optimizer.estimate import GateSize
from optimizer.evaluation import Evaluator
from optimizer.events import GateFinished, GateStarted, JudgeChecked
from optimizer.gate import (
    Contest,
    SecondJudge,
    judge_again,
    not_compared,
    nothing_found,
    run_gate,
)
from optimizer.held_out import Contender
from optimizer.reliability import JudgeReport, report_on_judge
from optimizer.types import Candidate, Example, Query, SearchResult, Step, StopReason
from optimizer.verdicts import Conclusion
from rewards.families import model_families
from store.repositories.prompts import PromptRepository


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What came of the gate.

    Attributes:
        conclusion: the verdict.
        judge: what is known about the judge.
        chosen: the candidate that the verdict is about, else the search's best.
    """

    conclusion: Conclusion
    judge: JudgeReport
    chosen: Candidate


async def bank_examples(prompts: PromptRepository, bank_id: str | None) -> tuple[Example, ...]:
    """The examples of a stored bank; none without one."""
    if bank_id is None:
        return ()
    return tuple(example_from_json(item) for item in await prompts.example_bank(bank_id))


class Comparison:
    """Compares what a search has found with what is served now."""

    def __init__(
        self,
        parts: SearchParts,
        prompts: PromptRepository,
        scorers: GateScorers,
        *,
        budget: Budget,
        decisions: Decisions,
    ) -> None:
        """A comparison in the job that ``parts`` belong to; its size is among the job's ``decisions``."""
        self._parts = parts
        self._spec = parts.spec
        self._prompts = prompts
        self._scorers = scorers
        self._budget = budget
        self._decisions = decisions

    async def run(
        self, found: SearchResult, examples: Sequence[Example], held_out: Sequence[Query]
    ) -> Compared:
        """The verdict on the finalists of ``found``, by as many of ``held_out`` as can be paid.

        Raises:
            ModelError: a backend cannot be used.
        """
        contest = await self._contest(found, examples, held_out)
        reason = _why_not(found, held_out)
        size = self._size(contest, len(held_out) if reason is None else 0)
        if reason is None and contest is not None and not size.queries:
            reason = "the budget leaves no room for held-out queries"
        if reason is None and contest is not None:
            conclusion, judge = await self._meet(_cut(contest, size), held_out[: size.queries], size)
        else:
            conclusion = nothing_found() if reason is None else not_compared(reason)
            judge = await self._check_judge(found, size)
        await self._parts.observer.notify(JudgeChecked(report=judge))
        await self._parts.observer.notify(GateFinished(conclusion=conclusion))
        return Compared(conclusion=conclusion, judge=judge, chosen=_chosen(conclusion, found))

    async def _contest(
        self, found: SearchResult, examples: Sequence[Example], held_out: Sequence[Query]
    ) -> Contest | None:
        """All who could meet; None where no finalist differs from the incumbent."""
        parts = dataclasses.replace(self._parts, scorer=self._scorers.first)
        evaluator = await parts.own_evaluator(examples, held_out)
        incumbent = await self._incumbent(parts, evaluator, found, held_out)
        own_examples = incumbent.evaluator is evaluator

        def differs(candidate: Candidate) -> bool:
            return not own_examples or candidate.system_prompt != incumbent.candidate.system_prompt

        finalists = [candidate for candidate in found.finalists if differs(candidate)]
        if not finalists:
            return None
        return Contest(
            incumbent=incumbent,
            finalists=tuple(
                Contender(candidate=candidate, evaluator=evaluator)
                for candidate in finalists[: self._spec.gate.finalists]
            ),
            seed_prompt=(
                Contender(candidate=found.seed_prompt, evaluator=evaluator)
                if differs(found.seed_prompt)
                else None
            ),
        )

    async def _incumbent(
        self, parts: SearchParts, evaluator: Evaluator, found: SearchResult, held_out: Sequence[Query]
    ) -> Contender:
        """What a finalist has to beat: the version labelled at the start, else the seed prompt."""
        spec = self._spec
        if spec.incumbent_version_id is None:
            return Contender(candidate=found.seed_prompt, evaluator=evaluator)
        version = await self._prompts.get_version(spec.incumbent_version_id)
        candidate = Candidate(id=INCUMBENT_ID, system_prompt=version.system_prompt)
        retrieval = RetrievalSpec.from_version(version.retrieval)
        shown_by = (version.example_bank_id, version.k, retrieval)
        if shown_by != (spec.example_bank_id, spec.config.k, spec.retrieval):
            examples = await bank_examples(self._prompts, version.example_bank_id)
            evaluator = await parts.evaluator(examples, version.k, retrieval, held_out)
        return Contender(candidate=candidate, evaluator=evaluator)

    def _size(self, contest: Contest | None, held_out: int) -> GateSize:
        """How much is compared: as an earlier attempt has decided, else as much as can be paid."""
        size = self._decisions.gate
        if size is None:
            wanted = GateSize(
                queries=held_out if contest is not None else 0,
                finalists=0 if contest is None else len(contest.finalists),
                with_seed_prompt=contest is not None and contest.has_seed_prompt_apart,
                judged_again=self._spec.gate.judged_again,
            )
            size = affordable(self._budget, wanted, rates=self._spec.rates)
            self._decisions.compare(size)
        return size

    async def _meet(
        self, contest: Contest, held_out: Sequence[Query], size: GateSize
    ) -> tuple[Conclusion, JudgeReport]:
        seed = contest.seed_prompt
        await self._parts.observer.notify(
            GateStarted(
                incumbent=contest.incumbent.candidate,
                finalists=tuple(contender.candidate for contender in contest.finalists),
                seed_prompt=None if seed is None else seed.candidate,
                queries=len(held_out),
            )
        )
        pace = GatePace(self._budget, contenders=len(contest.contenders), rates=self._spec.rates)
        outcome = await run_gate(contest, held_out, self._spec.gate, self._second(size), pace)
        conclusion = dataclasses.replace(
            outcome.conclusion, warnings=(*outcome.conclusion.warnings, *self._doubts_about_models())
        )
        return conclusion, outcome.judge

    async def _check_judge(self, found: SearchResult, size: GateSize) -> JudgeReport:
        """Without a comparison the answers of the search have to do."""
        steps: dict[tuple[str, int], Step] = {}
        for path in found.beam:
            for step in path.steps:
                rounds = {evaluation.round for evaluation in step.evaluations}
                steps.update({(step.candidate.id, number): step for number in rounds})
        answers = list(steps.values())
        return report_on_judge(answers, await judge_again(answers, self._second(size)))

    def _second(self, size: GateSize) -> SecondJudge:
        return SecondJudge(
            scorer=self._scorers.second, answers=size.judged_again, seed=self._spec.config.seed
        )

    def _doubts_about_models(self) -> list[str]:
        target = self._parts.models.target.name
        doubts = [
            f"the judge {judge} and the target {target} are of the same family: judges favour their own kind"
            for judge in self._scorers.judges
            if model_families(judge) & model_families(target)
        ]
        if self._scorers.steered_the_search:
            doubts.append(
                "the judge that steered the search also decides: set roles.gate_judge to another model"
            )
        return doubts


def _why_not(found: SearchResult, held_out: Sequence[Query]) -> str | None:
    if found.stop_reason is StopReason.UNSCORED:
        return "too many answers could not be scored, so nothing was chosen"
    if found.rounds == 0:
        return "the search made no round after the seed prompt, so nothing was chosen"
    if not held_out:
        return "no queries were held out"
    return None


def _cut(contest: Contest, size: GateSize) -> Contest:
    return dataclasses.replace(
        contest,
        finalists=contest.finalists[: size.finalists],
        seed_prompt=contest.seed_prompt
        if size.with_seed_prompt or not contest.has_seed_prompt_apart
        else None,
    )


def _chosen(conclusion: Conclusion, found: SearchResult) -> Candidate:
    if conclusion.chosen is None:
        return found.best
    chosen = conclusion.chosen.candidate_id
    return next(candidate for candidate in found.finalists if candidate.id == chosen)
