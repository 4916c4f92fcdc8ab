"""The hidden strengths and weaknesses of each simulated model, drawn from the world's seed."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from app.llm.simulated.draws import generator
from app.llm.simulated.traits import Kind, Trait

CHAT_MODELS = ("simulated-small", "simulated-chat", "simulated-critic")
BASE_MODELS = ("simulated-base",)
MODELS = (*CHAT_MODELS, *BASE_MODELS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """What nobody who talks to the model gets to see. Strengths are on the latent scale of ``world``.

    Attributes:
        base: strength without any instruction.
        response: how much an instruction moves the trait; near 0 where the model is deaf to it.
        kinds: how much better or worse it is on a trait for a kind of query.
        imitation: strength gained from one trait shown by an in-context example.
        attention: words of a system prompt that it follows with full attention.
        temper: how strongly one trait pulls at another.
        heed: how much of a push on a trait shows at all, 0..1.
    """

    base: Mapping[Trait, float]
    response: Mapping[Trait, float]
    kinds: Mapping[tuple[Kind, Trait], float]
    imitation: float
    attention: int
    temper: float
    heed: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Archetype:
    level: float
    weaknesses: int
    depth: float
    imitation: float
    attention: int


_ARCHETYPES: Mapping[str, _Archetype] = {
    "simulated-small": _Archetype(level=1.25, weaknesses=6, depth=1.9, imitation=0.12, attention=220),
    "simulated-chat": _Archetype(level=1.9, weaknesses=4, depth=1.6, imitation=0.08, attention=320),
    "simulated-base": _Archetype(level=0.75, weaknesses=7, depth=1.5, imitation=0.3, attention=180),
    "simulated-critic": _Archetype(level=2.2, weaknesses=1, depth=1.0, imitation=0.05, attention=500),
}
_FIRST_WEAK: tuple[tuple[Trait, ...], ...] = (
    (Trait.LIMITATIONS, Trait.CRITICAL_THINKING),
    (Trait.EMPATHY, Trait.INTERACTIVITY),
    (Trait.FACTUALITY, Trait.CLARITY, Trait.HELPFULNESS),
    (Trait.SAFETY, Trait.CREATIVITY, Trait.DEPTH),
)
"""A model with several weaknesses has one from each group first: none is good at all that is common."""
_DEAF = 2


def draw_profile(seed: int, model: str) -> Profile:
    """The profile of ``model`` in the world with ``seed``; the same whenever it is drawn.

    Raises:
        KeyError: there is no such model.
    """
    archetype = _ARCHETYPES[model]
    rng = generator(seed, "profile", model)
    weak = _draw_weaknesses(rng, archetype.weaknesses)
    deaf = set(rng.sample(list(Trait), _DEAF))
    return Profile(
        base={
            trait: rng.gauss(archetype.level, 0.25)
            - (rng.uniform(0.8, 1.2) * archetype.depth if trait in weak else 0.0)
            for trait in Trait
        },
        response={
            trait: rng.uniform(0.05, 0.2) if trait in deaf else rng.uniform(0.75, 1.2) for trait in Trait
        },
        kinds={(kind, trait): rng.gauss(0, 0.25) for kind in Kind for trait in Trait},
        imitation=archetype.imitation,
        attention=archetype.attention,
        temper=rng.uniform(0.7, 1.3),
    )


def _draw_weaknesses(rng: random.Random, count: int) -> frozenset[Trait]:
    first = [rng.choice(group) for group in _FIRST_WEAK]
    rest = [trait for trait in Trait if trait not in first]
    rng.shuffle(first)
    rng.shuffle(rest)
    return frozenset((first + rest)[:count])
