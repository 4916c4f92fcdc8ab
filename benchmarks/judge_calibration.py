"""What the judge that grades by digits sees, beside the judge that writes a text: equal answers, equal calls.

In simulated worlds several prompts answer the same queries; each judge scores every answer once, and a second
time with the criteria in reverse order. The oracle knows what each answer is worth on average. Printed, as
means over the worlds:

- correlation with the truth: Spearman's, of the rewards of all prompts on one query, averaged over queries,
  and of the prompts' mean rewards over the first 4 and over all queries;
- ties: pairs of answers to a query with equal rewards; saturation: single scores of 4.95 or more;
- agreement with itself: Krippendorff's alpha of first and second means;
- tokens that the judge wrote for an answer.

All models are simulated, so this shows what reading probabilities can add, and not how well a certain model
is calibrated. Built in is that the judge by digits sees the same signs, errs by a quarter more since it
writes no reasons, and is surer of itself than it may be (``app/llm/simulated/critic_labels.py``).
"""

import argparse
import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy.stats import spearmanr
from typing_extensions import override

from app.llm.simulated.banks import proposals
from app.llm.simulated.oracle import true_qualities
from benchmarks.lab import OWN_PROMPT, SEED_PROMPT, Lab, World, open_lab
from benchmarks.quality_runs import KINDS, USUAL
from optimizer.concurrency import run_together
from optimizer.config import PRESETS
from optimizer.protocols import ChatModel
from optimizer.reliability import JudgedTwice, report_on_judge
from optimizer.seeds import content_seed
from optimizer.types import (
    Candidate,
    CompletionRequest,
    CompletionResult,
    Evaluation,
    Scored,
    Step,
)
from rewards.catalog import CriteriaCatalog
from rewards.judge import Judge
from rewards.label_judge import LabelJudge
from rewards.reordering import ReorderedJudge
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector
from rewards.types import AnswerJudge

FIRST_WORLD = 900
JUDGES: Mapping[str, type[Judge] | type[LabelJudge]] = {"text": Judge, "logprobs": LabelJudge}
_FEW = 4
_HIGH = 4.95
_MOST_CALLS = 100_000


class _Counting(ChatModel):
    """The judge's model, and what it wrote."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self.calls = 0
        self.tokens = 0

    @property
    @override
    def name(self) -> str:
        """As the model's."""
        return self._model.name

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        """Ask the model."""
        result = await self._model.complete(request)
        self.calls += 1
        self.tokens += result.usage.completion_tokens if result.usage else 0
        return result


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What one judge made of one world's answers.

    Attributes:
        steps: a prompt's answers with their scores each, in the order of the queries.
        twice: each answer with both of its scores.
        calls / tokens: requests to the judge, and tokens that it wrote.
    """

    steps: tuple[Step, ...]
    twice: tuple[JudgedTwice, ...]
    calls: int
    tokens: int


def prompts(seed: int, count: int) -> list[str]:
    """Two prompts that people write, and ``count`` of three to eight instructions drawn at random."""
    rng = random.Random(seed)
    known = [text for trait in proposals().traits.values() for text in (*trait.strong, *trait.weak)]
    drawn = [rng.sample(known, rng.randint(3, 8)) for _ in range(count)]
    return [SEED_PROMPT, OWN_PROMPT, *("\n".join(f"- {text}" for text in lines) for lines in drawn)]


async def compare(world: World, *, queries: int, candidates: int) -> dict[str, dict[str, float]]:
    """Judge to its figures in one world."""
    async with open_lab(world, PRESETS["default"], _MOST_CALLS) as lab:
        asked = lab.queries[:queries]
        steps = await run_together(
            lab.evaluator.evaluate(Candidate(id=f"c{place}", system_prompt=text), asked, round_number=0)
            for place, text in enumerate(prompts(world.seed, candidates))
        )
        truth = [
            true_qualities(world.settings, world.target, step.candidate.system_prompt, asked)
            for step in steps
        ]
        return {name: describe(await _judge(lab, name, steps), truth) for name in JUDGES}


async def _judge(lab: Lab, name: str, answered: Sequence[Step]) -> Trial:
    model = _Counting(lab.judge)
    judge = JUDGES[name](model, sampling=lab.config.judge.to_sampling())
    first, second = (_scorer(lab, one) for one in (judge, ReorderedJudge(judge)))

    async def again(item: Evaluation, scorer: DynamicRewardScorer, draw: int) -> Evaluation:
        completion = item.rollout.completion
        if completion is None:
            raise ValueError("a simulated target answers everything")
        seed = content_seed(lab.config.seed, "judge", completion.text, item.rollout.query.id, draw=draw)
        score = await scorer.score(item.rollout.query, completion, seed=seed)
        return Evaluation(round=0, rollout=item.rollout, score=score)

    steps = []
    twice: list[JudgedTwice] = []
    for step in answered:
        scored = await run_together(again(item, first, 0) for item in step.evaluations)
        others = await run_together(again(item, second, 1) for item in step.evaluations)
        steps.append(Step(candidate=step.candidate, evaluations=tuple(scored)))
        twice += [
            JudgedTwice(first=one, second=other.score) for one, other in zip(scored, others, strict=True)
        ]
    return Trial(steps=tuple(steps), twice=tuple(twice), calls=model.calls, tokens=model.tokens)


def _scorer(lab: Lab, judge: AnswerJudge) -> DynamicRewardScorer:
    selector = Selector(
        lab.selector, catalog=CriteriaCatalog.load(), sampling=lab.config.selector.to_sampling()
    )
    return DynamicRewardScorer(selector, judge, seed=lab.config.seed)


def describe(trial: Trial, truth: Sequence[Sequence[float]]) -> dict[str, float]:
    """The figures of one judge; ``truth`` holds the worth of each prompt's answer to each query."""
    report = report_on_judge(trial.steps, trial.twice)
    rewards = [[_reward(item) for item in step.evaluations] for step in trial.steps]
    marks = [
        mark.score
        for step in trial.steps
        for item in step.evaluations
        if isinstance(item.score, Scored)
        for mark in item.score.criteria
    ]
    queries = range(len(truth[0]))
    by_query = [_correlation([row[at] for row in rewards], [row[at] for row in truth]) for at in queries]
    means = [fmean(row) for row in truth]
    return {
        "correlation with the truth, answers to one query": fmean(by_query),
        f"the same, prompts by {_FEW} queries": _correlation([fmean(row[:_FEW]) for row in rewards], means),
        f"the same, prompts by {len(queries)} queries": _correlation([fmean(row) for row in rewards], means),
        "tied pairs": report.tied_share or 0.0,
        "scores of 4.95 or more": fmean(mark >= _HIGH for mark in marks),
        "Krippendorff's alpha with itself": report.agreement or 0.0,
        "unscored": report.unscored_share or 0.0,
        "calls": trial.calls,
        "tokens written a call": trial.tokens / trial.calls,
    }


def _reward(item: Evaluation) -> float:
    return item.score.reward if isinstance(item.score, Scored) else 1.0


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's; 0 where one of the two tells nothing apart."""
    if len(set(one)) == 1 or len(set(other)) == 1:
        return 0.0
    return float(spearmanr(one, other).statistic)


def table(found: Sequence[Mapping[str, Mapping[str, float]]]) -> str:
    """A Markdown table of the means over worlds."""
    lines = [f"| simulated judge | {' | '.join(JUDGES)} |", "|---|" + "---|" * len(JUDGES)]
    for figure in found[0]["text"]:
        values = (fmean(world[name][figure] for world in found) for name in JUDGES)
        lines.append(f"| {figure} | {' | '.join(f'{value:.3g}' for value in values)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.judge_calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--worlds", type=int, default=8, metavar="N", help="default: %(default)s")
    parser.add_argument("--queries", type=int, default=24, metavar="N", help="default: %(default)s")
    parser.add_argument("--candidates", type=int, default=8, metavar="N", help="default: %(default)s")
    parser.add_argument("--kind", choices=KINDS, default=USUAL)
    options = parser.parse_args()
    worlds = [
        World(
            seed=seed,
            target="simulated-chat" if seed % 2 else "simulated-small",
            character=KINDS[options.kind],
        )
        for seed in range(FIRST_WORLD, FIRST_WORLD + options.worlds)
    ]
    found = [
        asyncio.run(compare(world, queries=options.queries, candidates=options.candidates))
        for world in worlds
    ]
    print(table(found))


if __name__ == "__main__":
    main()
