"""The cases of ``promotions``: jobs in which nothing can be gained, and pairs of prompts where 0.3 is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import uvloop

from app.backend_settings import USUAL_WORLD, SimulatedWorldSettings
from app.datasets.builtin_sets import builtin_queries
from benchmarks.lab import World, best_prompt, parted, quality
from benchmarks.promotion_gates import Gates, open_gates
from benchmarks.promotion_jobs import run_job
from benchmarks.promotion_worlds import OTHERS, Prompts, draw_prompts, fresh_queries
from optimizer.verdicts import Verdict

Kind = Literal["deaf", "deaf, several finalists", "best prompt", "gain", "gain, several finalists"]

KINDS: Mapping[Kind, str] = {
    "deaf": "no gain: the target is deaf to prompts; whole jobs of 400 calls, one finalist",
    "deaf, several finalists": "the same with three finalists, 800 calls",
    "best prompt": "no gain: the seed prompt is the best that the oracle finds; 400 calls",
    "gain": "true gain of 0.3, one finalist: the gate, then one on as many new queries as it asked for",
    "gain, several finalists": "the same among three finalists",
}
DEAF = SimulatedWorldSettings(responsiveness=0)
"""No prompt can be better than another here."""
FIRST_GATE = 16
"""Held-out queries of the first of two gates: too few to decide most cases."""
_MOST_ASKED = 4000
_ONE_FINALIST: Mapping[str, object] = {"budget": {"calls": 400}}
_SEVERAL_FINALISTS: Mapping[str, object] = {"budget": {"calls": 800}, "held_out": 15}


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One job, or one pair of prompts, in the world with this seed."""

    kind: Kind
    world: int

    def place(self, character: SimulatedWorldSettings) -> World:
        """The world; even ones have a small target, odd ones a chat model."""
        target = "simulated-chat" if self.world % 2 else "simulated-small"
        return World(seed=self.world, target=target, character=character)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a case.

    Attributes:
        promoted: whether a prompt was promoted in the end.
        is_better: whether the one that the verdict is about is truly better.
        asked: queries that the first gate asked for; None where it decided, or said that none would.
        finalists: how many were compared.
    """

    case: Case
    promoted: bool
    is_better: bool
    asked: int | None
    finalists: int


def cases(worlds: Mapping[Kind, int], first_world: int) -> Iterator[Case]:
    """So many worlds of each kind, numbered from ``first_world``."""
    for kind, count in worlds.items():
        for world in range(first_world, first_world + count):
            yield Case(kind=kind, world=world)


def measure(case: Case) -> Outcome | None:
    """What comes of ``case``; None in a world without two prompts that differ by what is wanted."""
    return uvloop.run(_measure(case))


async def _measure(case: Case) -> Outcome | None:
    match case.kind:
        case "deaf":
            return await _job(case, case.place(DEAF), _ONE_FINALIST)
        case "deaf, several finalists":
            return await _job(case, case.place(DEAF), _SEVERAL_FINALISTS)
        case "best prompt":
            world = case.place(USUAL_WORLD)
            best = best_prompt(world, parted(case.world)[1])
            return await _job(case, world, {**_ONE_FINALIST, "seed_prompt": best})
        case "gain":
            return await _two_gates(case, others=0)
        case "gain, several finalists":
            return await _two_gates(case, others=OTHERS)


async def _job(case: Case, world: World, request: Mapping[str, object]) -> Outcome:
    """A job with preset ``default`` that shows no examples: the oracle then knows all that matters."""
    job = await run_job(world, {"settings": {"seed": case.world, "k": 0}, **request})
    gate = job["result"]["gate"]
    prompts = {item["id"]: item["system_prompt"] for item in job["candidates"]}
    before, after = (prompts[name] for name in ("c0", gate["candidate_id"] or "c0"))
    better = quality(world, after, builtin_queries()) > quality(world, before, builtin_queries())
    return Outcome(
        case=case,
        promoted=job["result"]["label_moved"] is not None,
        is_better=better and world.character != DEAF,
        asked=gate["queries_needed"],
        finalists=len(gate["finalists"]),
    )


async def _two_gates(case: Case, *, others: int) -> Outcome | None:
    world = case.place(USUAL_WORLD)
    try:
        prompts = draw_prompts(world, case.world)
    except LookupError:
        return None
    async with open_gates(world) as gates:
        promoted, asked = await _decide(gates, prompts, others, case.world)
    return Outcome(case=case, promoted=promoted, is_better=True, asked=asked, finalists=1 + others)


async def _decide(gates: Gates, prompts: Prompts, others: int, seed: int) -> tuple[bool, int | None]:
    """Whether a finalist is promoted, at once or on new queries, and how many of these were asked for."""
    finalists = (prompts.better, *prompts.others[:others])
    few = fresh_queries(FIRST_GATE, seed=seed, after=0)
    first = await gates.compare(prompts.incumbent, finalists, few, seed=seed)
    asked = first.queries_needed
    if asked is None or asked > _MOST_ASKED:
        return first.verdict is Verdict.PROMOTED, asked
    fresh = fresh_queries(asked, seed=seed, after=FIRST_GATE)
    second = await gates.compare(prompts.incumbent, finalists, fresh, seed=seed + 1)
    return second.verdict is Verdict.PROMOTED, asked
