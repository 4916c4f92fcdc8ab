"""The true quality of a prompt in the simulated world. For tests and benchmarks only: no model may use it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from statistics import fmean

from app.backend_settings import SimulatedSettings
from app.llm.simulated.queries import QueryReading, read_query
from app.llm.simulated.reading import read_instructions
from app.llm.simulated.traits import Trait
from app.llm.simulated.world import World, expected_grade
from optimizer.types import Example, Query

_read_query = lru_cache(maxsize=4096)(read_query)


def true_quality(
    settings: SimulatedSettings,
    model: str,
    system_prompt: str,
    queries: Sequence[Query],
    examples: Sequence[Example] = (),
) -> float:
    """Expected reward, 1..5, of ``model`` under ``system_prompt``, with an unerring selector and judge.

    The mean over ``queries`` of the mean expected grade over the traits that each truly calls for, at
    temperature 0 and without judge noise. For tests and benchmarks only.

    Args:
        settings: those of the simulated backend; only the seed and the world matter.
        model: a simulated target.
        system_prompt: the prompt.
        queries: at least one; a query's kind is read from its text, as the target does.
        examples: shown with every query.

    Raises:
        KeyError: there is no such model.
        ValueError: there are no queries.
    """
    if not queries:
        raise ValueError("true quality needs at least one query")
    return fmean(true_qualities(settings, model, system_prompt, queries, examples))


def true_qualities(
    settings: SimulatedSettings,
    model: str,
    system_prompt: str,
    queries: Sequence[Query],
    examples: Sequence[Example] = (),
) -> list[float]:
    """The terms of ``true_quality``, one for each query. For tests and benchmarks only."""
    found = _strengths(settings, model, system_prompt, queries, examples)
    noise = _world(settings).noise
    return [
        fmean(expected_grade(latent[trait], noise) for trait in reading.traits) for reading, latent in found
    ]


def true_grade(
    settings: SimulatedSettings, model: str, system_prompt: str, queries: Sequence[Query], trait: Trait
) -> float:
    """Expected grade, 1..5, of one trait of the answers, on all ``queries``, also where it is not called for.

    For tests and benchmarks only; the arguments are those of ``true_quality``.
    """
    noise = _world(settings).noise
    found = _strengths(settings, model, system_prompt, queries, ())
    return fmean(expected_grade(latent[trait], noise) for _, latent in found)


def _strengths(
    settings: SimulatedSettings,
    model: str,
    system_prompt: str,
    queries: Sequence[Query],
    examples: Sequence[Example],
) -> Iterator[tuple[QueryReading, Mapping[Trait, float]]]:
    """Each query as read, and the latent strength of each trait of its answer."""
    world = _world(settings)
    prompt = read_instructions(system_prompt)
    shown = [example.answer for example in examples]
    for query in queries:
        reading = _read_query(query.text)
        yield reading, world.strengths(model, prompt, shown, query.text, reading).latent


@lru_cache(maxsize=8)
def _world(settings: SimulatedSettings) -> World:
    return World(settings.seed, settings.world)
