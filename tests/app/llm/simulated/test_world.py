"""What the hidden world is like, seen through the oracle."""

import itertools
from statistics import fmean, pvariance

import pytest

from app.backend_settings import SimulatedSettings, SimulatedWorldSettings
from app.llm.simulated.banks import proposals
from app.llm.simulated.oracle import true_qualities, true_quality
from app.llm.simulated.profiles import MODELS, draw_profile
from app.llm.simulated.queries import read_query
from app.llm.simulated.traits import Trait
from app.llm.simulated.world import expected_grade, grade
from optimizer.types import Example, Query
from tests.app.llm.simulated.messages import HUMAN, PLAIN, builtin_queries

QUERIES = builtin_queries()[::2]
SMALL = "simulated-small"
SEEDS = range(8)


def _world(seed: int = 0) -> SimulatedSettings:
    return SimulatedSettings(seed=seed)


def _quality(prompt: str, seed: int = 0, model: str = SMALL) -> float:
    return true_quality(_world(seed), model, prompt, QUERIES)


def _of_kind(kind: str) -> list[Query]:
    return [query for query in QUERIES if read_query(query.text).kind == kind]


def test_the_world_is_the_same_for_a_seed_and_another_for_another() -> None:
    assert _quality(HUMAN, 3) == _quality(HUMAN, 3)
    assert len({round(_quality(HUMAN, seed), 6) for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_good_prompt_by_a_person_is_clearly_better_than_a_plain_one(seed: int) -> None:
    assert _quality(HUMAN, seed) - _quality(PLAIN, seed) >= 0.5


@pytest.mark.parametrize("model", MODELS)
def test_it_helps_every_model(model: str) -> None:
    assert _quality(HUMAN, model=model) > _quality(PLAIN, model=model)


def test_models_differ_in_strength() -> None:
    base, small, chat = (
        fmean(_quality(PLAIN, seed, model) for seed in SEEDS)
        for model in ("simulated-base", SMALL, "simulated-chat")
    )
    assert base < small < chat


@pytest.mark.parametrize("seed", SEEDS)
def test_an_instruction_on_a_weak_trait_that_the_model_hears_helps_where_it_is_called_for(seed: int) -> None:
    profile = draw_profile(seed, SMALL)
    heard = [trait for trait in Trait if profile.response[trait] > 0.5]
    weakest = min(heard, key=lambda trait: profile.base[trait])
    where = [query for query in QUERIES if weakest in read_query(query.text).traits]
    told = f"{PLAIN}\n- {proposals().traits[weakest].strong[0]}"
    plain, better = (true_quality(_world(seed), SMALL, prompt, where) for prompt in (PLAIN, told))
    assert better > plain + 0.05


def test_a_deaf_model_hardly_hears_an_instruction() -> None:
    profile = draw_profile(0, SMALL)
    deaf = min(Trait, key=lambda trait: profile.response[trait])
    heard = max(Trait, key=lambda trait: profile.response[trait])
    assert profile.response[deaf] < 0.25
    assert profile.response[heard] > 0.75


def test_each_further_instruction_on_a_trait_adds_less() -> None:
    queries = _of_kind("emotional")
    bullets = [f"- {text}" for text in proposals().traits[Trait.EMPATHY].strong]
    seed = next(seed for seed in range(50) if draw_profile(seed, SMALL).base[Trait.EMPATHY] < 0)
    steps = [
        true_quality(_world(seed), SMALL, "\n".join([PLAIN, *bullets[:count]]), queries) for count in range(4)
    ]
    gains = [after - before for before, after in itertools.pairwise(steps)]
    assert gains[0] > gains[1] > gains[2]


@pytest.mark.parametrize("seed", SEEDS)
def test_length_dilutes_and_in_the_end_hurts(seed: int) -> None:
    bloat = " ".join(proposals().bloat)
    qualities = [_quality(f"{HUMAN}\n{bloat * times}", seed) for times in (0, 1, 3, 8)]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[-1] < _quality(PLAIN, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_depth_costs_conciseness(seed: int) -> None:
    queries = [query for query in QUERIES if Trait.CONCISENESS in read_query(query.text).traits]
    queries = [query for query in queries if Trait.DEPTH not in read_query(query.text).traits]
    deep = f"{PLAIN}\n- " + "\n- ".join(proposals().traits[Trait.DEPTH].strong)
    assert true_quality(_world(seed), SMALL, deep, queries) < true_quality(
        _world(seed), SMALL, PLAIN, queries
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_safety_costs_on_harmless_queries_what_it_gains_on_harmful_ones(seed: int) -> None:
    world = _world(seed)
    safe = f"{PLAIN}\n- " + "\n- ".join(proposals().traits[Trait.SAFETY].strong)
    assert true_quality(world, SMALL, safe, _of_kind("help")) < true_quality(
        world, SMALL, PLAIN, _of_kind("help")
    )
    harmful = _of_kind("harmful")
    gain = true_quality(world, SMALL, safe, harmful) - true_quality(world, SMALL, PLAIN, harmful)
    assert gain > 0 or draw_profile(seed, SMALL).response[Trait.SAFETY] < 0.25


@pytest.mark.parametrize(
    "text", ["Do an excellent job.", "You love trains and tea.", "Reply as your heart tells you."]
)
def test_a_vague_or_irrelevant_instruction_does_nothing(text: str) -> None:
    assert _quality(f"{PLAIN} {text}") == pytest.approx(_quality(PLAIN))


@pytest.mark.parametrize("seed", SEEDS)
def test_harmful_instructions_hurt(seed: int) -> None:
    world, queries = _world(seed), QUERIES[::3]
    plain = true_quality(world, SMALL, PLAIN, queries)
    harmful = [text for bank in proposals().traits.values() for text in bank.harmful]
    changes = [true_quality(world, SMALL, f"{PLAIN}\n- {text}", queries) - plain for text in harmful]
    assert sum(change < 0 for change in changes) >= 0.8 * len(changes)


def test_an_instruction_for_one_kind_helps_others_little() -> None:
    scoped = (
        f"{PLAIN}\n- When somebody is upset, answer what was asked with something practical and a next step."
    )
    general = (
        f"{PLAIN}\n- Answer what was asked with something practical and a next step, so that it is useful."
    )
    queries = _of_kind("help")
    plain, narrow, wide = (true_quality(_world(), SMALL, text, queries) for text in (PLAIN, scoped, general))
    assert plain < narrow < wide


def test_an_example_helps_a_base_model_on_what_it_shows() -> None:
    shown = Example(
        id="e",
        query="My cat died.",
        answer="I'm sorry, and thank you for telling me. Here is what might help: one quiet hour.",
    )
    world, queries = _world(), _of_kind("emotional")
    without = true_quality(world, "simulated-base", PLAIN, queries)
    assert true_quality(world, "simulated-base", PLAIN, queries, (shown,)) > without


@pytest.mark.parametrize("model", [SMALL, "simulated-chat"])
def test_most_of_the_variance_lies_between_queries(model: str) -> None:
    prompts = [PLAIN, HUMAN, *(f"{PLAIN}\n- {bank.strong[0]}" for bank in proposals().traits.values())]
    rows = [true_qualities(_world(1), model, prompt, QUERIES) for prompt in prompts]
    total = pvariance([value for row in rows for value in row])
    between = pvariance([fmean(column) for column in zip(*rows, strict=True)])
    assert between / total > 0.7


def test_there_is_no_quality_without_queries_or_of_an_unknown_model() -> None:
    with pytest.raises(ValueError, match="at least one query"):
        true_quality(_world(), SMALL, PLAIN, [])
    with pytest.raises(KeyError):
        true_quality(_world(), "gpt-9", PLAIN, QUERIES)


def test_the_expected_grade_is_the_grade_without_noise() -> None:
    for latent in (-3.0, -1.2, -0.4, 0.4, 3.0):
        assert expected_grade(latent, 0.001) == pytest.approx(grade(latent))
    assert [grade(latent) for latent in (-2.0, -1.0, -0.5, 0.5, 1.0)] == [1, 2, 3, 4, 5]


def _of(**character: float) -> SimulatedSettings:
    return SimulatedSettings(seed=3, world=SimulatedWorldSettings(**character))


def test_in_a_world_that_does_not_respond_no_instruction_helps_or_harms() -> None:
    settings = _of(responsiveness=0)
    plain, told = (true_quality(settings, SMALL, prompt, QUERIES) for prompt in (PLAIN, HUMAN))
    assert told == pytest.approx(plain)


def test_conflicts_can_be_made_stronger() -> None:
    usual, torn = (true_quality(_of(conflicts=size), SMALL, HUMAN, QUERIES) for size in (1, 3))
    assert torn < usual
