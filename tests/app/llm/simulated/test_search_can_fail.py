"""A search in the simulated world finds better prompts and worse ones: its success is not built in."""

from contextlib import AsyncExitStack

import pytest

from app.backend_settings import SimulatedSettings
from app.llm.simulated.oracle import true_quality
from optimizer.beam_search import BeamSearch
from optimizer.budget import Budget, Limits
from optimizer.config import SearchConfig
from optimizer.evaluation import Evaluator
from optimizer.examples.retrieval import LexicalRetriever
from optimizer.proposers.rewriting import RewritingProposer
from optimizer.rollout import RolloutRunner
from optimizer.splitting import split_queries
from rewards.catalog import CriteriaCatalog
from rewards.judge import Judge
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector
from tests.app.llm.opening import open_simulated
from tests.app.llm.simulated.messages import HUMAN, PLAIN, builtin_queries
from tests.fakes.search import ManualClock, RecordingObserver

TARGET, CRITIC = "simulated-small", "simulated-critic"
SEARCH = SearchConfig(
    beam_width=2,
    proposals_per_candidate=3,
    depth=4,
    max_depth_increase=0,
    minibatch_size=2,
    skip_threshold=5,
    k=0,
)


async def search_from(seed_prompt: str, seed: int) -> tuple[float, float]:
    """True quality, 1..5, of ``seed_prompt`` and of what a search from it ends with, on queries it never saw.

    Every role is a simulated model behind the adapter that real servers are asked with.
    """
    config = SEARCH.model_copy(update={"seed": seed})
    world = SimulatedSettings(seed=seed)
    split = split_queries(builtin_queries(), search=config.queries_needed, held_out=100, seed=seed)
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(open_simulated(world, TARGET))
        critic = await stack.enter_async_context(open_simulated(world, CRITIC))
        selector = Selector(critic, catalog=CriteriaCatalog.load(), sampling=config.selector.to_sampling())
        judge = Judge(critic, sampling=config.judge.to_sampling())
        runner = RolloutRunner(
            target, LexicalRetriever(()), k=0, sampling=config.target.to_sampling(), base_model=False
        )
        observer = RecordingObserver()
        search = BeamSearch(
            config=config,
            proposer=RewritingProposer(
                critic, config.proposer.to_sampling(), history=config.history, seed=seed
            ),
            evaluator=Evaluator(runner, DynamicRewardScorer(selector, judge, seed=seed), observer, seed=seed),
            observer=observer,
            stop=Budget(Limits(), clock=ManualClock()),
        )
        found = await search.run(seed_prompt, split.search)
    before, after = (
        true_quality(world, TARGET, prompt, split.held_out)
        for prompt in (seed_prompt, found.best.system_prompt)
    )
    return before, after


@pytest.mark.parametrize("seed", [2, 7])
async def test_a_search_from_a_good_prompt_by_a_person_can_end_with_a_worse_one(seed: int) -> None:
    before, after = await search_from(HUMAN, seed)
    assert after < before - 0.1


@pytest.mark.parametrize("seed", [0, 8])
async def test_a_search_from_a_plain_prompt_can_end_with_a_better_one(seed: int) -> None:
    before, after = await search_from(PLAIN, seed)
    assert after > before + 0.1


async def test_a_search_in_the_simulated_world_can_be_repeated() -> None:
    assert await search_from(PLAIN, 3) == await search_from(PLAIN, 3)
