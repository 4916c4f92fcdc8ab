import pytest
from typing_extensions import override

from benchmarks.lab import OWN_PROMPT, SEED_PROMPT, World, open_lab
from benchmarks.search_methods.beam import greedy_settings, paper_settings
from benchmarks.search_methods.gepa_search import search_with_gepa
from benchmarks.search_methods.random_search import search_randomly
from benchmarks.search_methods.table import METHODS, run_method
from optimizer.config import PRESETS
from optimizer.events import EvaluationFinished, SearchEvent
from optimizer.protocols import SearchObserver

WORLD = World(seed=11)


class Evaluated(SearchObserver):
    """Remembers which prompt was judged on which query."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    @override
    async def notify(self, event: SearchEvent) -> None:
        if isinstance(event, EvaluationFinished):
            rollout = event.evaluation.rollout
            self.pairs.append((rollout.candidate_id, rollout.query.id))


class Faulty(SearchObserver):
    @override
    async def notify(self, event: SearchEvent) -> None:
        raise ZeroDivisionError("a bug of ours")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("calls", [1, 20, 90])
async def test_no_search_overspends_and_each_ends_with_a_prompt(method: str, calls: int) -> None:
    found = await run_method(method, WORLD, calls=calls, seed=1, start=SEED_PROMPT)
    assert found.calls <= calls
    assert found.prompt.strip()


@pytest.mark.parametrize("method", METHODS)
async def test_without_room_for_a_rewrite_the_first_prompt_stays(method: str) -> None:
    found = await run_method(method, WORLD, calls=3, seed=1, start=OWN_PROMPT)
    assert found.prompt == OWN_PROMPT


@pytest.mark.parametrize("method", METHODS)
async def test_the_same_search_finds_the_same_prompt(method: str) -> None:
    first, second = [await run_method(method, WORLD, calls=80, seed=2, start=SEED_PROMPT) for _ in range(2)]
    assert first == second


@pytest.mark.parametrize("method", METHODS)
async def test_searches_use_most_of_what_they_may_spend(method: str) -> None:
    found = await run_method(method, WORLD, calls=150, seed=3, start=SEED_PROMPT)
    assert found.calls > 120
    assert found.prompt != SEED_PROMPT


async def test_a_bug_during_gepa_is_not_swallowed() -> None:
    async with open_lab(WORLD, PRESETS["paper"], 100, Faulty()) as lab:
        with pytest.raises(ZeroDivisionError):
            await search_with_gepa(lab, SEED_PROMPT)


async def test_random_search_judges_all_prompts_on_the_same_queries() -> None:
    heard = Evaluated()
    async with open_lab(WORLD, PRESETS["paper"], 100, heard) as lab:
        await search_randomly(lab, SEED_PROMPT)
    prompts = dict.fromkeys(prompt for prompt, _ in heard.pairs)
    seen = [{query for judged, query in heard.pairs if judged == prompt} for prompt in prompts]
    assert len(seen) > 3
    assert all(queries == seen[0] for queries in seen[:-1])  # the budget may have cut the last one short


def test_the_official_depth_is_kept_unless_it_would_leave_calls_over() -> None:
    assert paper_settings(280) == PRESETS["paper"]
    assert paper_settings(600).depth > PRESETS["paper"].depth
    assert greedy_settings(150).beam_width == 1
