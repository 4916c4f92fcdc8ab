"""The simulated world: from what a target is told and asked to how good its answer is on each trait.

A trait of an answer has a latent strength: the model's own, plus what instructions and examples add, less the
query's difficulty and what other traits take from it. Four thresholds cut it into the grades 1..5.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.backend_settings import SimulatedWorldSettings
from app.llm.simulated.answers import read_signs
from app.llm.simulated.draws import generator, share
from app.llm.simulated.plain import plain
from app.llm.simulated.profiles import Profile, draw_profile
from app.llm.simulated.queries import QueryReading
from app.llm.simulated.reading import Reading
from app.llm.simulated.traits import Kind, Trait

THRESHOLDS = (-1.6, -0.8, 0.0, 0.8)
"""Latent strengths from which on a trait has grade 2, 3, 4 and 5."""
NOISE = 0.45
"""Standard deviation of what the exact wording of a request does to a trait."""
HEAT = 0.5
"""Standard deviation that sampling adds at temperature 1."""

_GAIN = 1.9
_HARM = 1.4
_SATURATION = 0.8
_MOST_FOLLOWED = 10
_OVERLOAD = 420
_HARDEST = 3.8
_RARITY = 2.6

_CONFLICTS: Mapping[Trait, Mapping[Trait, float]] = {
    Trait.DEPTH: {Trait.CONCISENESS: 0.9},
    Trait.CONCISENESS: {Trait.DEPTH: 0.8, Trait.EMPATHY: 0.25},
    Trait.CREATIVITY: {Trait.FACTUALITY: 0.6, Trait.CLARITY: 0.2},
    Trait.SAFETY: {Trait.HELPFULNESS: 0.7, Trait.CREATIVITY: 0.4},
    Trait.LIMITATIONS: {Trait.HELPFULNESS: 0.35, Trait.ENGAGEMENT: 0.3},
    Trait.INTERACTIVITY: {Trait.CONCISENESS: 0.5, Trait.HELPFULNESS: 0.25},
    Trait.EMPATHY: {Trait.CONCISENESS: 0.4, Trait.CRITICAL_THINKING: 0.3},
    Trait.CRITICAL_THINKING: {Trait.EMPATHY: 0.4, Trait.COMPLIANCE: 0.3},
    Trait.COMPLIANCE: {Trait.SAFETY: 0.5, Trait.CREATIVITY: 0.2},
    Trait.HELPFULNESS: {Trait.SAFETY: 0.35},
    Trait.ENGAGEMENT: {Trait.CONCISENESS: 0.35},
    Trait.SENSITIVITY: {Trait.CONCISENESS: 0.2},
    Trait.FACTUALITY: {Trait.CREATIVITY: 0.35},
}
"""What a push on the outer trait takes from the inner ones."""
_SPARED: Mapping[Trait, frozenset[Kind]] = {
    Trait.SAFETY: frozenset({Kind.HARMFUL}),
    Trait.LIMITATIONS: frozenset({Kind.REAL_TIME, Kind.AMBIGUOUS}),
    Trait.INTERACTIVITY: frozenset({Kind.AMBIGUOUS, Kind.EMOTIONAL}),
    Trait.CREATIVITY: frozenset({Kind.CREATIVE}),
}
"""Kinds of query on which pushing the trait takes nothing from others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Strengths:
    """Latent strength of each trait of an answer, and how strongly the prompt pushed it (0..1)."""

    latent: Mapping[Trait, float]
    push: Mapping[Trait, float]


class World:
    """The hidden side of all simulated targets for one seed."""

    def __init__(self, seed: int, character: SimulatedWorldSettings) -> None:
        self._seed = seed
        self._character = character
        self._profiles: dict[str, Profile] = {}
        self._read_shown = lru_cache(maxsize=256)(_read_shown)
        self._uninstructed = lru_cache(maxsize=4096)(self._draw_uninstructed)
        self._instructed = lru_cache(maxsize=1024)(self._follow_instructions)

    def profile(self, model: str) -> Profile:
        """The hidden parameters of ``model``."""
        if model not in self._profiles:
            self._profiles[model] = _of_character(draw_profile(self._seed, model), self._character)
        return self._profiles[model]

    @property
    def noise(self) -> float:
        """Standard deviation of what the exact wording of a request does to a trait."""
        return NOISE * self._character.noise

    def difficulty(self, query_text: str) -> float:
        """How hard a query is, on the latent scale, for any model: mostly little, sometimes a great deal."""
        return _HARDEST * math.pow(share(self._seed, "difficulty", query_text), _RARITY)

    def strengths(
        self,
        model: str,
        prompt: Reading,
        shown_answers: Sequence[str],
        query_text: str,
        query: QueryReading,
    ) -> Strengths:
        """How good the answer of ``model`` can be expected to be.

        Args:
            model: one of ``profiles.MODELS``.
            prompt: the system prompt as read.
            shown_answers: answers in the context, in-context examples and earlier turns alike.
            query_text: the query.
            query: the query as read.
        """
        profile = self.profile(model)
        gains, push = self._instructed(model, prompt, query.kind)
        imitated = self._imitated(profile, shown_answers)
        overload = min(1.5, 0.0015 * max(0, prompt.words - _OVERLOAD))
        latent = {
            trait: uninstructed + gains[trait] + imitated[trait] - overload
            for trait, uninstructed in self._uninstructed(model, query_text, query.kind).items()
        }
        for source, taken in _CONFLICTS.items():
            if query.kind not in _SPARED.get(source, frozenset()):
                for trait, amount in taken.items():
                    latent[trait] -= amount * profile.temper * push[source] ** 2
        return Strengths(latent=latent, push=push)

    def _draw_uninstructed(self, model: str, query_text: str, kind: Kind) -> dict[Trait, float]:
        """The strength of each trait without instructions and examples."""
        profile = self.profile(model)
        rng = generator(self._seed, "query", query_text)
        difficulty = self.difficulty(query_text)
        return {
            trait: profile.base[trait] + profile.kinds[kind, trait] - difficulty + rng.gauss(0, 0.3)
            for trait in Trait
        }

    def _follow_instructions(
        self, model: str, prompt: Reading, kind: Kind
    ) -> tuple[dict[Trait, float], dict[Trait, float]]:
        return _instructed(self.profile(model), prompt, kind)

    def _imitated(self, profile: Profile, shown_answers: Sequence[str]) -> dict[Trait, float]:
        if not shown_answers:
            return dict.fromkeys(Trait, 0.0)
        read = [self._read_shown(answer) for answer in shown_answers]
        gains = {trait: profile.imitation * sum(shown[trait] for shown in read) for trait in Trait}
        return {trait: max(-0.5, min(3 * profile.imitation, gain)) for trait, gain in gains.items()}


def _of_character(profile: Profile, character: SimulatedWorldSettings) -> Profile:
    return dataclasses.replace(
        profile,
        response={trait: amount * character.responsiveness for trait, amount in profile.response.items()},
        temper=profile.temper * character.conflicts,
        heed=min(1.0, character.responsiveness),
    )


def grade(latent: float) -> int:
    """The grade, 1..5, of a trait with this strength."""
    return 1 + sum(latent >= threshold for threshold in THRESHOLDS)


def expected_grade(latent: float, deviation: float = NOISE) -> float:
    """The mean grade of a trait with this strength under normal noise of standard ``deviation``."""
    return 1 + sum(
        0.5 * (1 + math.erf((latent - threshold) / (deviation * math.sqrt(2)))) for threshold in THRESHOLDS
    )


def _instructed(
    profile: Profile, prompt: Reading, kind: Kind
) -> tuple[dict[Trait, float], dict[Trait, float]]:
    """What the prompt adds to each trait, and how strongly it pushes each."""
    attention = 1 / (1 + (max(0, prompt.words - profile.attention) / 260) ** 2)
    attention *= min(1.0, _MOST_FOLLOWED / max(1, len(prompt.instructions)))
    pros = dict.fromkeys(Trait, 0.0)
    cons = dict.fromkeys(Trait, 0.0)
    for instruction in prompt.instructions:
        fits = 1.0 if not instruction.kinds or kind in instruction.kinds else 0.35
        weight = abs(instruction.strength) * fits * attention
        (pros if instruction.strength > 0 else cons)[instruction.trait] += weight
    push = {trait: 1 - math.exp(-pros[trait] / _SATURATION) for trait in Trait}
    gains = {
        trait: profile.response[trait] * (_GAIN * push[trait] - _HARM * min(1.5, cons[trait]))
        for trait in Trait
    }
    return gains, {trait: profile.heed * amount for trait, amount in push.items()}


def _read_shown(answer: str) -> dict[Trait, int]:
    """What an answer in the context shows (positive) or lacks of each trait."""
    words = plain(answer)
    seen = {trait: read_signs(words, trait) for trait in Trait}
    return {trait: min(2, len(item.shows)) - min(2, len(item.lacks)) for trait, item in seen.items()}
