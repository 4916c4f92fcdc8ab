"""What ``search_quality`` measures: worlds, first prompts, and what a search makes of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import uvloop
from pydantic import BaseModel, ConfigDict

from app.backend_settings import SimulatedWorldSettings
from benchmarks.lab import OWN_PROMPT, SEED_PROMPT, World, best_reachable, parted, quality
from benchmarks.search_methods.table import run_method

USUAL = "usual"
_CALIBRATED = SimulatedWorldSettings(judge_leniency=0.7)
"""As saturated as the judge of the paper's published search trees (``world_realism``)."""


def _unlike_usual(**settings: float) -> SimulatedWorldSettings:
    return _CALIBRATED.model_copy(update=settings)


KINDS: Mapping[str, SimulatedWorldSettings] = {
    USUAL: _CALIBRATED,
    "strict-judge": _unlike_usual(judge_leniency=0),
    "noisy": _unlike_usual(noise=2),
    "conflicts": _unlike_usual(conflicts=2),
    "weak-proposer": _unlike_usual(proposer_skill=0.4),
    "noisy-judge": _unlike_usual(judge_noise=2),
    "length-judge": _unlike_usual(judge_length_preference=0.5),
}
"""Kinds of worlds. Those after the first are held out: no search is tuned on them."""
STARTS: Mapping[str, str] = {"plain": SEED_PROMPT, "own": OWN_PROMPT}
"""First prompts: one that says nothing, and one that a person has written."""
FIRST_WORLD = 500
"""Worlds from this seed on are for the report alone."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Case(_Value):
    """One world and one seed, on which every search is run.

    Attributes:
        kind: one of ``KINDS``.
        world: the world's seed; even ones have a small target, odd ones a chat model.
        seed: of the searches; it also says which queries they see.
    """

    kind: str
    world: int
    seed: int

    @property
    def place(self) -> World:
        """The world itself."""
        target = "simulated-chat" if self.world % 2 else "simulated-small"
        return World(seed=self.world, target=target, character=KINDS[self.kind])


class Size(_Value):
    """How many worlds of a kind there are, and seeds in each; worlds are numbered from ``first_world``."""

    worlds: int
    seeds: int
    first_world: int = FIRST_WORLD


class Run(_Value):
    """One search and what the oracle says of it, on queries that it never saw.

    Attributes:
        start: one of ``STARTS``.
        method: which search.
        calls: its budget.
        spent: calls that it made.
        before: true quality of the first prompt, 1..5.
        after: true quality of the prompt that was found.
        reachable: true quality of the best prompt that a greedy search with the oracle finds.
    """

    case: Case
    start: str
    method: str
    calls: int
    spent: int
    before: float
    after: float
    reachable: float

    @property
    def captured(self) -> float:
        """Share of the reachable gain that was captured; negative where the prompt found is worse."""
        return (self.after - self.before) / (self.reachable - self.before)

    @property
    def is_worse(self) -> bool:
        """Whether the first prompt was better."""
        return self.after < self.before


class Plan(_Value):
    """What is run in each case."""

    methods: tuple[str, ...]
    calls: tuple[int, ...]
    starts: tuple[str, ...] = tuple(STARTS)


def cases(kinds: Iterable[str], usual: Size, held_out: Size) -> Iterator[Case]:
    """The cases of a report, from the same first world on in every kind."""
    for kind in kinds:
        size = usual if kind == USUAL else held_out
        for seed in range(size.seeds):
            for world in range(size.first_world, size.first_world + size.worlds):
                yield Case(kind=kind, world=world, seed=seed)


def measure(case: Case, plan: Plan) -> Sequence[Run]:
    """All runs of ``plan`` in one case; the same arguments give the same runs."""
    return uvloop.run(_measure(case, plan))


async def _measure(case: Case, plan: Plan) -> list[Run]:
    world, unseen = case.place, parted(case.seed)[1]
    reachable = best_reachable(world, unseen)
    runs = []
    for start in plan.starts:
        before = quality(world, STARTS[start], unseen)
        for method in plan.methods:
            for calls in plan.calls:
                found = await run_method(method, world, calls=calls, seed=case.seed, start=STARTS[start])
                runs.append(
                    Run(
                        case=case,
                        start=start,
                        method=method,
                        calls=calls,
                        spent=found.calls,
                        before=before,
                        after=quality(world, found.prompt, unseen),
                        reachable=reachable,
                    )
                )
    return runs
