"""A simulated target: composes an answer in which its strengths and weaknesses can be read."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.llm.simulated.banks import bodies, phrases
from app.llm.simulated.draws import Draw, generator
from app.llm.simulated.filling import fill
from app.llm.simulated.queries import QueryReading, read_query
from app.llm.simulated.reading import read_instructions
from app.llm.simulated.traits import Kind, Trait
from app.llm.simulated.world import HEAT, World, grade

_POOR, _MIDDLING, _GOOD = 2, 3, 4
_MOST_HEAT = 2.0
_MANNER = 0.5
"""Push from which on an instruction also colours answers that don't call for its trait."""
_COLOURING = 0.2
_OVERCAUTION = 0.72
"""Push on safety from which on harmless requests may be turned away."""
_UNCOLOURED = frozenset({Trait.SAFETY, Trait.LIMITATIONS, Trait.CRITICAL_THINKING, Trait.CREATIVITY})
"""Traits whose signs would make no sense where they are not called for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """What a target is given.

    Attributes:
        system: all system and developer messages, joined.
        shown_answers: the assistant's earlier turns, in-context examples included.
        earlier: the user's earlier turns.
        query: the user's last turn.
    """

    system: str
    shown_answers: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()
    query: str


class Target:
    """Answers as the models of one world do."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._seed = seed
        self._read_prompt = lru_cache(maxsize=256)(read_instructions)
        self._read_query = lru_cache(maxsize=1024)(read_query)

    def answer(self, model: str, conversation: Conversation, draw: Draw) -> str:
        """One answer of ``model``; the same for the same arguments.

        Raises:
            KeyError: there is no such model.
        """
        query = self._read_query(conversation.query)
        strengths = self._world.strengths(
            model,
            self._read_prompt(conversation.system),
            conversation.shown_answers,
            conversation.query,
            query,
        )
        earlier = (*conversation.shown_answers, *conversation.earlier)
        place = "\x1f".join((model, conversation.system, *earlier, conversation.query))
        rng = generator(self._seed, "wording", place)
        noise = {trait: rng.gauss(0, self._world.noise) for trait in Trait}
        if draw.temperature > 0:
            rng = generator(self._seed, "sample", draw.seed, draw.index, place)
            heat = HEAT * min(_MOST_HEAT, draw.temperature)
            noise = {trait: noise[trait] + rng.gauss(0, heat) for trait in Trait}
        words = query.words
        if words[0] == "this" and conversation.earlier:
            words = self._read_query(conversation.earlier[-1]).words
        grades = {trait: grade(strengths.latent[trait] + noise[trait]) for trait in Trait}
        return _Composer(query, words, grades, rng).compose(strengths.push)


class _Composer:
    """Writes one answer."""

    def __init__(
        self, query: QueryReading, words: Sequence[str], grades: Mapping[Trait, int], rng: random.Random
    ) -> None:
        self._query = query
        self._words = list(words[:4])
        self._grades = grades
        self._rng = rng
        self._parts: dict[str, list[str]] = {"open": [], "body": [], "close": []}

    def compose(self, push: Mapping[Trait, float]) -> str:
        """The answer; ``push`` says how strongly the prompt asked for each trait."""
        for trait in self._query.traits:
            self._express(trait, self._grades[trait])
        for trait in Trait:
            if self._colours(trait, push[trait]):
                self._express(trait, _GOOD)
        if self._turns_away(push[Trait.SAFETY]):
            self._parts["open"] = [self._fill(self._rng.choice(bodies()["over_refusal"]))]
        paragraphs = [
            " ".join(self._parts["open"]),
            *(self._fill(text) for text in self._core()),
            *self._parts["body"],
            " ".join(self._parts["close"]),
        ]
        tidy = self._grades[Trait.CLARITY] > _POOR or self._query.kind in {Kind.CODE, Kind.CREATIVE}
        return ("\n\n" if tidy else " ").join(paragraph for paragraph in paragraphs if paragraph)

    def _colours(self, trait: Trait, push: float) -> bool:
        if trait in self._query.traits or trait in _UNCOLOURED:
            return False
        return push > _MANNER and self._grades[trait] >= _GOOD and self._rng.random() < _COLOURING

    def _turns_away(self, push: float) -> bool:
        harmless = self._query.kind is not Kind.HARMFUL
        return harmless and push > _OVERCAUTION and self._grades[Trait.HELPFULNESS] <= _POOR

    def _express(self, trait: Trait, level: int) -> None:
        bank = phrases()[trait]
        variant = bank.fit(self._query.kind)
        texts = variant.shows if level > _MIDDLING else variant.lacks
        chosen = self._rng.sample(texts, abs(level - _MIDDLING))
        self._parts[bank.place].extend(self._fill(text) for text in chosen)

    def _core(self) -> list[str]:
        if self._query.kind is Kind.HARMFUL:
            return [
                self._rng.choice(bodies()["refusal" if self._grades[Trait.SAFETY] >= _MIDDLING else "comply"])
            ]
        bank = bodies()[self._query.kind]
        deep = self._grades[Trait.DEPTH] >= _GOOD and self._query.kind is not Kind.CODE
        return self._rng.sample(bank, min(2 if deep else 1, len(bank)))

    def _fill(self, text: str) -> str:
        return fill(text, self._words, self._rng)
