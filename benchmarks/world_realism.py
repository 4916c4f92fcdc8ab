"""How far the worlds of ``search_quality`` resemble the search trees that the paper's authors publish.

Runs preset ``paper`` and prints what can be counted in those trees too (nine runs, 923 evaluations): how
often a prompt is kept because its answer was good enough, how many scores are 5, how much of the reward's
variance lies between queries, and how often siblings tie. The usual world is calibrated to these figures
and to nothing else, on worlds 600 to 615.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import uvloop
from typing_extensions import override

from benchmarks.lab import SEED_PROMPT, open_lab
from benchmarks.quality_runs import KINDS, USUAL, Case
from optimizer.beam_search import BeamSearch
from optimizer.config import PRESETS
from optimizer.events import CandidateKept, EvaluationFinished, SearchEvent
from optimizer.proposers.rewriting import RewritingProposer
from optimizer.protocols import SearchObserver
from optimizer.types import Evaluation, Scored

FIRST_WORLD = 600
PUBLISHED: Mapping[str, str] = {
    "kept prompts": "0.60 (0.23 to 0.87)",
    "scores of 5": "0.57 to 0.88, one model 0.33",
    "variance between queries": "0.86 (0.61 to 0.97)",
    "deviation within a query": "0.20 to 0.67, typically 0.35",
    "all siblings tie": "0.35",
    "best sibling is unique": "0.43",
}
"""Counted in the trees; see ARCHITECTURE, "How searches are compared"."""
_ENOUGH_CALLS = 2000
_EPSILON = 1e-9


@dataclass(kw_only=True, slots=True)
class Tree(SearchObserver):
    """What a beam search did: its evaluations, and how many prompts were kept without a rewrite."""

    evaluations: list[Evaluation] = field(default_factory=list)
    kept: int = 0

    @override
    async def notify(self, event: SearchEvent) -> None:
        """Take ``event`` in."""
        if isinstance(event, CandidateKept):
            self.kept += 1
        elif isinstance(event, EvaluationFinished):
            self.evaluations.append(event.evaluation)


async def grow(case: Case) -> Tree:
    """The tree of preset ``paper`` in a world, from the authors' first prompt, at its own length."""
    config = PRESETS["paper"].model_copy(update={"seed": case.seed, "k": 0})
    tree = Tree()
    async with open_lab(case.place, config, _ENOUGH_CALLS, tree) as lab:
        search = BeamSearch(
            config=config,
            proposer=RewritingProposer(
                lab.critic, config.proposer.to_sampling(), history=config.history, seed=config.seed
            ),
            evaluator=lab.evaluator,
            observer=tree,
            stop=lab.budget,
        )
        await search.run(SEED_PROMPT, lab.queries)
    return tree


def describe(tree: Tree) -> dict[str, float]:
    """The figures of one tree, named as in ``PUBLISHED``.

    Raises:
        ValueError: nothing was scored or nothing rewritten.
    """
    rounds: defaultdict[int, list[float]] = defaultdict(list)
    siblings: defaultdict[str, list[float]] = defaultdict(list)
    scores: list[float] = []
    for evaluation in tree.evaluations:
        name, score = evaluation.rollout.candidate_id, evaluation.score
        if not isinstance(score, Scored):
            continue
        rounds[evaluation.round].append(score.reward)
        scores += [item.score for item in score.criteria]
        if name.startswith(f"c{evaluation.round}."):
            siblings[name.rpartition(".")[0]].append(score.reward)
    families = [found for found in siblings.values() if len(found) > 1]
    if not families:
        raise ValueError("a tree without siblings cannot be described")
    mean = fmean(reward for found in rounds.values() for reward in found)
    total = sum((reward - mean) ** 2 for found in rounds.values() for reward in found)
    within = sum((reward - fmean(found)) ** 2 for found in rounds.values() for reward in found)
    freedom = sum(len(found) - 1 for found in rounds.values())
    tops = [sum(max(found) - reward < _EPSILON for reward in found) for found in families]
    return {
        "kept prompts": tree.kept / (tree.kept + len(siblings)),
        "scores of 5": fmean(score >= 5 - _EPSILON for score in scores),
        "variance between queries": 1 - within / max(total, _EPSILON),
        "deviation within a query": (within / freedom) ** 0.5,
        "all siblings tie": fmean(top == len(found) for top, found in zip(tops, families, strict=True)),
        "best sibling is unique": fmean(top == 1 for top in tops),
    }


def table(kinds: Sequence[str], worlds: Sequence[int]) -> str:
    """A Markdown table: the published figures, and those of each kind of world."""
    found = {
        kind: [describe(uvloop.run(grow(Case(kind=kind, world=world, seed=0)))) for world in worlds]
        for kind in kinds
    }
    lines = [f"| | trees | {' | '.join(kinds)} |", "|---|---|" + "---|" * len(kinds)]
    for name, published in PUBLISHED.items():
        means = " | ".join(f"{fmean(item[name] for item in found[kind]):.2f}" for kind in kinds)
        lines.append(f"| {name} | {published} | {means} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.world_realism",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--worlds", type=int, default=16, metavar="N", help="default: %(default)s")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=(USUAL, "strict-judge"))
    options = parser.parse_args()
    print(table(options.kinds, range(FIRST_WORLD, FIRST_WORLD + options.worlds)))


if __name__ == "__main__":
    main()
