"""Stage 1: the answers of a bank, made better under a harsh judge (arXiv 2411.08733).

A beam search for each example, all examples at once. The paper names a beam; the authors' code follows a
single chain and lets a tie replace what was there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from optimizer.concurrency import run_together
from optimizer.errors import BudgetExceededError, InvalidInputError
from optimizer.examples.answers import (
    Answer,
    ExampleDraft,
    ExampleEnd,
    JudgedAnswer,
    RefinedExample,
    RefinementEnd,
    RefinementResult,
)
from optimizer.examples.config import RefinementConfig
from optimizer.examples.estimate import first_calls, rewrite_calls
from optimizer.examples.events import (
    AnswerJudged,
    RefinementFinished,
    RefinementRoundFinished,
    RefinementRoundStarted,
    RefinementStarted,
    RewriteFailed,
)
from optimizer.examples.ports import AnswerRewriter, RefinementObserver, RoundBudget
from optimizer.protocols import Scorer
from optimizer.seeds import content_seed
from optimizer.types import Completion, ModelRole, Query, Score, Scored, Unscored

GIVEN_ID = "a0"
HIGHEST_REWARD = 5.0
_JUDGEMENTS = 2
"""Of one answer at most: a judge that was not understood may be the second time."""


@dataclass(kw_only=True, slots=True)
class _Work:
    """Where work on one example stands between rounds.

    ``beam`` holds scored answers, best first; ``known`` are the texts judged; ``rewritten`` says how
    often each was rewritten, and ``is_cut`` that the budget refused a call.
    """

    draft: ExampleDraft
    query: Query
    first: JudgedAnswer | None = None
    best: JudgedAnswer | None = None
    beam: tuple[JudgedAnswer, ...] = ()
    known: set[str] = field(default_factory=set)
    rewritten: Counter[str] = field(default_factory=Counter)
    judged: int = 0
    without_gain: int = 0
    is_cut: bool = False
    end: ExampleEnd | None = None

    @property
    def weakness(self) -> float:
        """Sorts the weakest first; what was not scored has no place of its own."""
        return 0.0 if self.best is None or self.best.reward is None else self.best.reward


class AnswerRefiner:
    """Improves the answers of a bank."""

    def __init__(
        self,
        *,
        config: RefinementConfig,
        rewriter: AnswerRewriter,
        scorer: Scorer,
        observer: RefinementObserver,
        budget: RoundBudget,
    ) -> None:
        """A refiner; everything that talks to the outside is passed in."""
        self._config = config
        self._rewriter = rewriter
        self._scorer = scorer
        self._observer = observer
        self._budget = budget

    async def refine(self, drafts: Sequence[ExampleDraft]) -> RefinementResult:
        """Better answers for ``drafts``; a given answer stays unless another is strictly better.

        Raises:
            InvalidInputError: there are no drafts.
            ModelError: a backend cannot be used.
        """
        if not drafts:
            raise InvalidInputError("there are no examples to refine", param="examples")
        works = [_Work(draft=draft, query=draft.to_query()) for draft in drafts]
        await self._observer.notify(RefinementStarted(examples=len(works), rounds=self._config.rounds))
        end, rounds = RefinementEnd.ROUNDS, 0
        for number in range(self._config.rounds + 1):
            active = sorted((work for work in works if work.end is None), key=lambda work: work.weakness)
            if not active:
                end = RefinementEnd.DONE
                break
            room = self._budget.room(number, [self._calls(work, number) for work in active])
            if room:
                await self._run_round(number, active[:room], works)
                rounds = number
            if room < len(active) or any(work.end is ExampleEnd.BUDGET for work in works):
                end = RefinementEnd.BUDGET
                break
        result = RefinementResult(
            examples=tuple(_outcome(work, end) for work in works), end=end, rounds=rounds
        )
        await self._observer.notify(RefinementFinished(result=result))
        return result

    async def _run_round(self, number: int, chosen: Sequence[_Work], works: Sequence[_Work]) -> None:
        before = [work.best for work in works]
        ids = tuple(work.draft.id for work in chosen)
        await self._observer.notify(RefinementRoundStarted(round=number, example_ids=ids))
        await run_together(self._work_on(work, number) for work in chosen)
        pairs = [
            (work.first.reward, work.best.reward)
            for work in works
            if work.first is not None and work.best is not None
        ]
        scored = [(first, best) for first, best in pairs if first is not None and best is not None]
        await self._observer.notify(
            RefinementRoundFinished(
                round=number,
                rounds_left=self._config.rounds - number,
                improved=sum(work.best is not old for work, old in zip(works, before, strict=True)),
                open=sum(work.end is None for work in works),
                mean_first=fmean(first for first, _ in scored) if scored else None,
                mean_best=fmean(best for _, best in scored) if scored else None,
            )
        )

    async def _work_on(self, work: _Work, number: int) -> None:
        """One example's part of a round. Where the budget ends in it, what was judged by then counts."""
        if number == 0:
            await self._begin(work)
        else:
            await self._improve(work, number)
        if work.is_cut:
            work.end = ExampleEnd.BUDGET

    async def _begin(self, work: _Work) -> None:
        """Judge the given answer, or several first ones where none was given."""
        draft = work.draft
        if draft.answer is not None:
            judged = await self._judge(work, [Answer(id=GIVEN_ID, text=draft.answer)])
        else:
            _, answers = await run_together([self._prepared(work), self._written(work, None, 0, 0)])
            judged = await self._judge(work, answers)
        work.beam = _ranked(judged)[: self._config.beam_width]
        work.first = work.best = work.beam[0] if work.beam else next(iter(judged), None)
        if work.best is None:
            work.end = ExampleEnd.NO_ANSWER
        elif work.best.reward is None:
            work.end = ExampleEnd.UNSCORED  # nothing says what is wrong with it, or what would be better
        elif work.best.reward >= HIGHEST_REWARD:
            work.end = ExampleEnd.PERFECT

    async def _improve(self, work: _Work, number: int) -> None:
        written = await run_together(
            self._written(work, judged, number, slot) for slot, judged in enumerate(work.beam)
        )
        judged = await self._judge(work, [answer for answers in written for answer in answers])
        work.beam = _ranked([*work.beam, *judged])[: self._config.beam_width]
        gained = work.beam[0] is not work.best
        work.best = work.beam[0]
        work.without_gain = 0 if gained else work.without_gain + 1
        if (work.best.reward or 0) >= HIGHEST_REWARD:
            work.end = ExampleEnd.PERFECT
        elif work.without_gain >= self._config.patience:
            work.end = ExampleEnd.NO_GAIN

    async def _prepared(self, work: _Work) -> list[Answer]:
        """Select criteria while the first answers are written."""
        try:
            await self._scorer.prepare(work.query)
        except BudgetExceededError:
            work.is_cut = True
        return []

    async def _written(
        self, work: _Work, parent: JudgedAnswer | None, number: int, slot: int
    ) -> list[Answer]:
        text = "" if parent is None else parent.answer.text
        draw = work.rewritten[text]
        work.rewritten[text] += 1
        try:
            rewrites = await self._rewriter.rewrite(
                work.query, parent, count=self._config.rewrites, draw=draw
            )
        except BudgetExceededError:
            work.is_cut = True
            return []
        answers: list[Answer] = []
        for position, rewrite in enumerate(rewrites):
            if rewrite.text is None:
                failed = RewriteFailed(
                    example_id=work.draft.id,
                    round=number,
                    slot=slot,
                    position=position,
                    reason=rewrite.rationale,
                )
                await self._observer.notify(failed)
                continue
            answers.append(
                Answer(
                    id=f"a{number}.{slot}.{position}",
                    text=rewrite.text,
                    parent_id=None if parent is None else parent.answer.id,
                    round=number,
                    rationale=rewrite.rationale,
                )
            )
        return answers

    async def _judge(self, work: _Work, answers: Sequence[Answer]) -> list[JudgedAnswer]:
        """Judge those of ``answers`` whose text was not judged before."""
        fresh = []
        for answer in answers:
            if answer.text not in work.known:
                work.known.add(answer.text)
                fresh.append(answer)
        judged = await run_together(self._judge_one(work, answer) for answer in fresh)
        return [item for item in judged if item is not None]

    async def _judge_one(self, work: _Work, answer: Answer) -> JudgedAnswer | None:
        """The score of ``answer``, which is judged again where it has none; None where the budget is over."""
        score: Score = Unscored(reason="not judged")
        try:
            for draw in range(_JUDGEMENTS):
                score = await self._score(work, answer, draw)
                if isinstance(score, Scored):
                    break
        except BudgetExceededError:
            work.is_cut = True
            return None
        judged = JudgedAnswer(answer=answer, score=score)
        work.judged += 1
        await self._observer.notify(AnswerJudged(draft=work.draft, judged=judged))
        return judged

    async def _score(self, work: _Work, answer: Answer, draw: int) -> Score:
        role = ModelRole.EXAMPLE_JUDGE.value
        seed = content_seed(self._config.seed, role, work.draft.query, answer.text, draw=draw)
        return await self._scorer.score(work.query, Completion(text=answer.text), seed=seed)

    def _calls(self, work: _Work, number: int) -> int:
        if number == 0:
            return first_calls(self._config, work.draft)
        return rewrite_calls(self._config, len(work.beam))


def _ranked(judged: Sequence[JudgedAnswer]) -> tuple[JudgedAnswer, ...]:
    """The scored ones, best first; a tie keeps the earlier."""
    scored = [(item.reward, item) for item in judged if item.reward is not None]
    return tuple(item for _, item in sorted(scored, key=lambda pair: -pair[0]))


def _outcome(work: _Work, end: RefinementEnd) -> RefinedExample:
    unfinished = ExampleEnd.BUDGET if end is RefinementEnd.BUDGET else ExampleEnd.ROUNDS
    return RefinedExample(
        draft=work.draft,
        first=work.first,
        best=work.best,
        end=work.end or unfinished,
        judged=work.judged,
    )
