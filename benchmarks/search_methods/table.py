"""Every search that is compared, by name."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from benchmarks.lab import Lab, World, open_lab
from benchmarks.search_methods.beam import greedy_settings, paper_settings, search_beam
from benchmarks.search_methods.gepa_search import search_with_gepa
from benchmarks.search_methods.racing import racing_settings, search_racing
from benchmarks.search_methods.random_search import search_randomly
from optimizer.config import SearchConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One way to search.

    Attributes:
        settings: the configuration under a budget of so many calls; sampling of the roles comes from it.
        search: finds a prompt from a first one within the lab's budget. Running out of it is no error.
    """

    settings: Callable[[int], SearchConfig]
    search: Callable[[Lab, str], Awaitable[str]]


METHODS: Mapping[str, Method] = {
    "default": Method(settings=racing_settings, search=search_racing),
    "paper": Method(settings=paper_settings, search=search_beam),
    "greedy": Method(settings=greedy_settings, search=search_beam),
    "random": Method(settings=paper_settings, search=search_randomly),
    "gepa": Method(settings=paper_settings, search=search_with_gepa),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The prompt that a search ended with, and the calls that it made."""

    prompt: str
    calls: int


async def run_method(name: str, world: World, *, calls: int, seed: int, start: str) -> Found:
    """Search with the method ``name`` from the prompt ``start``; the same arguments find the same prompt.

    Raises:
        KeyError: there is no such method.
    """
    method = METHODS[name]
    # No examples are shown: the lab has no bank.
    config = method.settings(calls).model_copy(update={"seed": seed, "k": 0})
    async with open_lab(world, config, calls) as lab:
        prompt = await method.search(lab, start)
        return Found(prompt=prompt, calls=lab.budget.spent.calls)
