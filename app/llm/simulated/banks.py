"""The texts that the simulated world is made of, read once from the YAML files beside this module."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from app.llm.simulated.plain import as_cues
from app.llm.simulated.traits import Kind, Trait


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _WordsEntry(_Entry):
    asks: tuple[str, ...]
    warns: tuple[str, ...]
    topics: tuple[str, ...] = ()
    excuses: tuple[str, ...] = ()


class _LexiconFile(_Entry):
    traits: dict[Trait, _WordsEntry]
    negators: tuple[str, ...]
    cancels: tuple[str, ...]
    breaks: tuple[str, ...]
    conditions: tuple[str, ...]
    scopes: dict[Kind, tuple[str, ...]]


class _KindEntry(_Entry):
    weight: float
    cues: tuple[str, ...]
    traits: tuple[Trait, ...]


class _WordsFile(_Entry):
    form: tuple[str, ...]
    shortness: tuple[str, ...]
    culture: tuple[str, ...]
    pointing: tuple[str, ...]
    stop: frozenset[str]


class _SignsEntry(_Entry):
    shows: tuple[str, ...]
    lacks: tuple[str, ...]
    seen: str
    missing: str


class PhraseVariant(_Entry):
    """Sentences that show a trait in an answer, and its lack."""

    shows: tuple[str, ...]
    lacks: tuple[str, ...]


class PhraseBank(PhraseVariant):
    """Such sentences, where in an answer they stand, and others for some kinds of query."""

    place: Literal["open", "body", "close"]
    variants: dict[Kind, PhraseVariant] = {}

    def fit(self, kind: Kind) -> PhraseVariant:
        """The sentences for a ``kind`` of query."""
        return self.variants.get(kind, self)


class ProposalBank(_Entry):
    """Instructions that a proposer may write for one trait."""

    strong: tuple[str, ...]
    weak: tuple[str, ...]
    harmful: tuple[str, ...]


class Proposals(_Entry):
    """All that a proposer and a selector may write."""

    traits: dict[Trait, ProposalBank]
    intros: tuple[str, ...]
    vague: tuple[str, ...]
    bloat: tuple[str, ...]
    analyses: tuple[str, ...]
    new_criteria: dict[Kind, dict[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class TraitWords:
    """How instructions speak of one trait; all entries are cues."""

    asks: tuple[str, ...]
    warns: tuple[str, ...]
    topics: tuple[str, ...]
    excuses: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lexicon:
    """How instructions speak; all entries are cues."""

    traits: Mapping[Trait, TraitWords]
    negators: tuple[str, ...]
    cancels: tuple[str, ...]
    breaks: tuple[str, ...]
    conditions: tuple[str, ...]
    scopes: Mapping[Kind, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class KindCues:
    """What gives a kind of query away, and the traits that such queries call for."""

    weight: float
    cues: tuple[str, ...]
    traits: tuple[Trait, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryWords:
    """Words of a query that set its form, ask for brevity, name a culture, or point to what is not said.

    Attributes:
        stop: words that say nothing of what a query is about.
    """

    form: tuple[str, ...]
    shortness: tuple[str, ...]
    culture: tuple[str, ...]
    pointing: tuple[str, ...]
    stop: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Signs:
    """What a reader notices in an answer for one trait, and the words for a reason."""

    shows: tuple[str, ...]
    lacks: tuple[str, ...]
    seen: str
    missing: str


def _whole_words(phrases: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        phrase if phrase == ";" else f"{cue.rstrip()} "
        for phrase, cue in zip(phrases, as_cues(phrases), strict=True)
    )


def _load(name: str) -> object:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = resources.files("app.llm.simulated").joinpath(name).read_text(encoding="utf-8")
    return yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader either way


@cache
def lexicon() -> Lexicon:
    """How instructions speak of the traits."""
    file = _LexiconFile.model_validate(_load("lexicon.yaml"))
    return Lexicon(
        traits={
            trait: TraitWords(
                asks=as_cues(entry.asks),
                warns=as_cues(entry.warns),
                topics=as_cues(entry.topics),
                excuses=as_cues(entry.excuses),
            )
            for trait, entry in file.traits.items()
        },
        negators=_whole_words(file.negators),
        cancels=_whole_words(file.cancels),
        breaks=_whole_words(file.breaks),
        conditions=_whole_words(file.conditions),
        scopes={kind: as_cues(cues) for kind, cues in file.scopes.items()},
    )


@cache
def kinds() -> Mapping[Kind, KindCues]:
    """What gives each kind of query away."""
    entries = _read_mapping(_load("kinds.yaml"))
    read = {Kind(name): _KindEntry.model_validate(entry) for name, entry in entries.items()}
    return {
        kind: KindCues(weight=entry.weight, cues=as_cues(entry.cues), traits=entry.traits)
        for kind, entry in read.items()
    }


@cache
def query_words() -> QueryWords:
    """Words that say how a query wants to be answered."""
    file = _WordsFile.model_validate(_load("words.yaml"))
    return QueryWords(
        form=as_cues(file.form),
        shortness=as_cues(file.shortness),
        culture=as_cues(file.culture),
        pointing=as_cues(file.pointing),
        stop=file.stop,
    )


@cache
def signs() -> Mapping[Trait, Signs]:
    """What a reader notices in answers."""
    entries = _read_mapping(_load("signs.yaml"))
    read = {Trait(name): _SignsEntry.model_validate(entry) for name, entry in entries.items()}
    return {
        trait: Signs(
            shows=as_cues(entry.shows), lacks=as_cues(entry.lacks), seen=entry.seen, missing=entry.missing
        )
        for trait, entry in read.items()
    }


@cache
def phrases() -> Mapping[Trait, PhraseBank]:
    """How traits show in a target's answers."""
    entries = _read_mapping(_load("phrases.yaml"))
    return {Trait(name): PhraseBank.model_validate(entry) for name, entry in entries.items()}


@cache
def bodies() -> Mapping[str, tuple[str, ...]]:
    """The core of answers: by kind of query, and ``refusal``, ``comply`` and ``over_refusal``."""
    entries = _read_mapping(_load("bodies.yaml"))
    return {
        name: tuple(str(text) for text in texts) for name, texts in entries.items() if isinstance(texts, list)
    }


@cache
def proposals() -> Proposals:
    """What a proposer and a selector may write."""
    return Proposals.model_validate(_load("proposals.yaml"))


def load_all() -> None:
    """Read all banks now, so that no request has to wait for a file."""
    for bank in (lexicon, kinds, query_words, signs, phrases, bodies, proposals):
        bank()


def _read_mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError("a bank has to be a mapping")
    return {str(name): entry for name, entry in value.items()}
