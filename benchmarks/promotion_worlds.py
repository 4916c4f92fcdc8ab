"""What ``promotions`` compares: prompts whose true difference is known, and any number of fresh queries."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, product, zip_longest
from statistics import fmean

from app.datasets.builtin_sets import builtin_queries
from app.llm.simulated.banks import proposals
from app.llm.simulated.critic_proposer import MOST_BULLETS
from app.llm.simulated.oracle import true_grade, true_qualities
from app.llm.simulated.queries import read_query
from app.llm.simulated.traits import Trait
from benchmarks.lab import OWN_PROMPT, SEED_PROMPT, World
from optimizer.gate_config import SAFETY_KINDS
from optimizer.types import Query

GAIN = 0.3
"""True gain of a finalist that should be promoted, in points of the scale 1..5."""
OTHERS = 2
"""Finalists beside the better one at most."""
_CLOSE = 0.01
_MAY_LOSE = 0.1
"""What the better prompt may truly lose on a kind of query: half of what the gate accepts."""
_POOL, _TRIES = 80, 10
_OPENINGS = ("Hello! ", "Good day. ", "A question from us: ", "Dear assistant, ", "Greetings! ", "Next one: ")
_CLOSINGS = ("", " Thank you!", " Kind regards, Ada", " Cheers, Omar", " Best wishes, Lin", " Yours, Pat")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompts:
    """An incumbent, and a finalist that is truly better.

    Attributes:
        gain: by how much, by the oracle, over all built-in queries.
        others: further finalists that are truly better by less, or not at all.
    """

    incumbent: str
    better: str
    gain: float
    others: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """A prompt and its true quality, 1..5: over all built-in queries, and by their kind."""

    text: str
    quality: float
    by_kind: Mapping[str | None, float]


def draw_prompts(world: World, seed: int) -> Prompts:
    """An incumbent and finalists, composed of the proposer's instructions, that differ by ``GAIN``.

    The better one loses no safety and little on any kind of query: the gate is there to stop one
    that does.

    Raises:
        LookupError: this world has no such prompts.
    """
    rng = random.Random(f"{world.seed}/{seed}")
    for _ in range(_TRIES):
        texts = (SEED_PROMPT, OWN_PROMPT, *(_compose(rng) for _ in range(_POOL)))
        pool = [_look_at(world, text) for text in texts]
        pairs = [(old, new) for old in pool for new in pool if _is_wanted(old, new)]
        rng.shuffle(pairs)
        for old, new in pairs:
            if _safety(world, new) < _safety(world, old):
                continue
            lesser = [item.text for item in pool if -GAIN < item.quality - old.quality < GAIN - _CLOSE]
            others = rng.sample(lesser, min(OTHERS, len(lesser)))
            gain = new.quality - old.quality
            return Prompts(incumbent=old.text, better=new.text, gain=gain, others=tuple(others))
    raise LookupError(f"world {world.seed} has no prompts that differ by {GAIN}")


def fresh_queries(count: int, *, seed: int, after: int) -> tuple[Query, ...]:
    """``count`` queries of all kinds in even shares: those after the first ``after`` of an endless supply.

    The built-in ones come first, then the same ones in other words, as far as they are read as the same kind
    of query: in the simulated world other words make another difficulty and another answer.
    """
    return tuple(islice(_supply(seed), after, after + count))


def _supply(seed: int) -> Iterator[Query]:
    yield from _mixed(builtin_queries(), seed)
    for number, (opening, closing) in enumerate(product(_OPENINGS, _CLOSINGS)):
        yield from _mixed(_reworded(number, opening, closing), seed)


@cache
def _reworded(number: int, opening: str, closing: str) -> tuple[Query, ...]:
    reworded = (
        Query(id=f"{query.id}-{number}", text=f"{opening}{query.text}{closing}", kind=query.kind)
        for query in builtin_queries()
    )
    pairs = zip(builtin_queries(), reworded, strict=True)
    return tuple(
        new
        for old, new in pairs
        if (read_query(new.text).kind, read_query(new.text).traits)
        == (read_query(old.text).kind, read_query(old.text).traits)
    )


def _mixed(queries: Sequence[Query], seed: int) -> Iterator[Query]:
    pool = list(queries)
    random.Random(seed).shuffle(pool)
    kinds: dict[str | None, list[Query]] = {}
    for query in pool:
        kinds.setdefault(query.kind, []).append(query)
    for group in zip_longest(*kinds.values()):
        yield from (query for query in group if query is not None)


def _look_at(world: World, text: str) -> _Known:
    queries = builtin_queries()
    found = true_qualities(world.settings, world.target, text, queries)
    by_kind: defaultdict[str | None, list[float]] = defaultdict(list)
    for query, value in zip(queries, found, strict=True):
        by_kind[query.kind].append(value)
    return _Known(
        text=text,
        quality=fmean(found),
        by_kind={kind: fmean(values) for kind, values in by_kind.items()},
    )


def _safety(world: World, prompt: _Known) -> float:
    return true_grade(world.settings, world.target, prompt.text, builtin_queries(), Trait.SAFETY)


def _is_wanted(old: _Known, new: _Known) -> bool:
    gains = {kind: new.by_kind[kind] - value for kind, value in old.by_kind.items()}
    return abs(new.quality - old.quality - GAIN) <= _CLOSE and all(
        gain >= (0 if kind in SAFETY_KINDS else -_MAY_LOSE) for kind, gain in gains.items()
    )


@cache
def _lines() -> tuple[str, ...]:
    return tuple(text for trait in proposals().traits.values() for text in (*trait.strong, *trait.weak))


def _compose(rng: random.Random) -> str:
    bullets = rng.sample(_lines(), rng.randint(1, MOST_BULLETS))
    return "\n".join([rng.choice(proposals().intros), "", *(f"- {line}" for line in bullets)])
