"""The held-out gate: finalists, incumbent and seed prompt answer queries that nobody has looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

from optimizer.concurrency import run_together
from optimizer.errors import BudgetExceededError
from optimizer.gate_config import GateConfig
from optimizer.held_out import Contender, answer_together
from optimizer.promotion import Answers, conclude
from optimizer.protocols import Pace, Scorer
from optimizer.reliability import JudgedTwice, JudgeReport, judged_criteria, report_on_judge
from optimizer.seeds import content_seed
from optimizer.types import Completion, Evaluation, Query, Score, Step, Unscored
from optimizer.verdicts import Conclusion, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """Who meets.

    Attributes:
        incumbent: what is served now.
        finalists: candidates of the search, best first, at least one; none is the incumbent.
        seed_prompt: where the search started; None where it is the incumbent or not to be compared.
    """

    incumbent: Contender
    finalists: tuple[Contender, ...]
    seed_prompt: Contender | None = None

    @property
    def has_seed_prompt_apart(self) -> bool:
        """Whether the seed prompt is one more contender: it may be a finalist as well."""
        finalists = {contender.candidate.id for contender in self.finalists}
        return self.seed_prompt is not None and self.seed_prompt.candidate.id not in finalists

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """All of them, each once."""
        more = (self.seed_prompt,) if self.seed_prompt is not None and self.has_seed_prompt_apart else ()
        return (self.incumbent, *self.finalists, *more)


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondJudge:
    """How some answers are judged again.

    Attributes:
        scorer: the same judge, asked otherwise.
        answers: how many at most.
        seed: the run's.
    """

    scorer: Scorer
    answers: int
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class GateOutcome:
    """The verdict, and what is known about the judge that it rests on."""

    conclusion: Conclusion
    judge: JudgeReport


async def run_gate(
    contest: Contest, held_out: Sequence[Query], config: GateConfig, second: SecondJudge, pace: Pace
) -> GateOutcome:
    """Have all contenders answer ``held_out``, judge some answers again, and conclude (``promotion``).

    A query that the budget does not reach lacks a score like any other, and is not judged again; ``pace``
    keeps those few that it reaches only for some contenders (``held_out``).

    Raises:
        ModelError: a backend cannot be used.
    """
    steps = await answer_together(contest.contenders, held_out, pace)
    by_id = {step.candidate.id: step for step in steps}
    judge = report_on_judge(steps, await judge_again(steps, second))
    answers = Answers(
        incumbent=by_id[contest.incumbent.candidate.id],
        finalists=tuple(by_id[contender.candidate.id] for contender in contest.finalists),
        seed_prompt=None if contest.seed_prompt is None else by_id[contest.seed_prompt.candidate.id],
    )
    return GateOutcome(conclusion=conclude(answers, config, judge=judge), judge=judge)


async def judge_again(steps: Sequence[Step], second: SecondJudge) -> list[JudgedTwice]:
    """Second scores for a sample of the answers in ``steps``, drawn by the run's seed.

    Raises:
        ModelError: the judge cannot be reached.
    """
    scored = {
        (step.candidate.system_prompt, item.rollout.query.id): (item, item.rollout.completion)
        for step in steps
        for item in step.evaluations
        if judged_criteria(item.score) and item.rollout.completion is not None
    }
    drawn = sorted(scored, key=lambda place: (content_seed(second.seed, "judged_again", *place), place))
    return await run_together(
        _judge_one_again(*scored[place], place[0], second) for place in drawn[: second.answers]
    )


def not_compared(reason: str) -> Conclusion:
    """The verdict where no comparison could be made."""
    return Conclusion(verdict=Verdict.NOT_ENOUGH_EVIDENCE, reason=reason)


def nothing_found() -> Conclusion:
    """The verdict where no finalist differs from the incumbent."""
    reason = "the search found nothing better than the prompt it started from"
    return Conclusion(verdict=Verdict.KEPT, reason=reason)


async def _judge_one_again(
    first: Evaluation, completion: Completion, system_prompt: str, second: SecondJudge
) -> JudgedTwice:
    query = first.rollout.query
    seed = content_seed(second.seed, "judge_again", system_prompt, query.id)
    score: Score
    try:
        score = await second.scorer.score(query, completion, seed=seed)
    except BudgetExceededError as error:
        score = Unscored(reason=str(error))
    return JudgedTwice(first=first, second=score)
