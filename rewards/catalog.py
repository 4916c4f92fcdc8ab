"""The catalogue of criteria: read from YAML, validated, found by loosely written names."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from optimizer.errors import InvalidInputError
from rewards.cleaning import clean_line, clean_name, name_key
from rewards.types import FOR_PROMPTS, MIN_CRITERIA, Criterion, CriterionOrigin

MAX_GOOD = 200
MAX_SCORING = 1000


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    good: str
    scoring: str
    aliases: list[str] = []

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not name or clean_name(name) != name:
            raise ValueError("a name is up to 40 characters of letters, digits, spaces and hyphens")
        return name

    @field_validator("aliases")
    @classmethod
    def _named_aliases(cls, aliases: list[str]) -> list[str]:
        if not all(map(name_key, aliases)):
            raise ValueError("an alias names something")
        return aliases

    @model_validator(mode="after")
    def _short_lines(self) -> Self:
        for text, limit in ((self.good, MAX_GOOD), (self.scoring, MAX_SCORING)):
            if not text or clean_line(text, limit=limit) != text:
                raise ValueError(f"{self.name}: a text is one line of 1 to {limit} characters without '|'")
        return self

    def to_criterion(self) -> Criterion:
        return Criterion(
            name=self.name, good=self.good, scoring=self.scoring, origin=CriterionOrigin.CATALOGUE
        )


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    criteria: list[_Entry] = Field(min_length=MIN_CRITERIA)
    fallback: list[str] = Field(min_length=MIN_CRITERIA)

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        _refuse_repeats(name for entry in self.criteria for name in (entry.name, *entry.aliases))
        _refuse_repeats(self.fallback)
        return self


def _refuse_repeats(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name_key(name) in seen:
            raise ValueError(f"{name!r} stands for two things")
        seen.add(name_key(name))


class CriteriaCatalog:
    """The predefined criteria.

    Attributes:
        criteria: all of them, in the order in which the selector sees them.
        fallback: those that complete or replace a selection, most important first; two at least.
        version: the first 12 hex digits of its content's SHA-256; the layout of the YAML does not count.
    """

    def __init__(self, document: _Document) -> None:
        """Take over a validated document; use ``load`` or ``parse``."""
        self.criteria: Sequence[Criterion] = tuple(entry.to_criterion() for entry in document.criteria)
        self.version = hashlib.sha256(document.model_dump_json().encode()).hexdigest()[:12]
        self._by_key = {
            name_key(name): criterion
            for entry, criterion in zip(document.criteria, self.criteria, strict=True)
            for name in (entry.name, *entry.aliases)
        }
        self.fallback: Sequence[Criterion] = tuple(map(self._required, document.fallback))
        self._document = document

    @classmethod
    def load(cls) -> Self:
        """The catalogue that comes with the package (``criteria.yaml``)."""
        return cls.parse(resources.files("rewards").joinpath("criteria.yaml").read_text(encoding="utf-8"))

    @classmethod
    def parse(cls, text: str) -> Self:
        """A catalogue from YAML of the form of ``criteria.yaml``.

        Raises:
            InvalidInputError: it is not YAML, lacks a field, repeats a name, or names an unknown fallback.
        """
        try:
            document = _Document.model_validate(yaml.safe_load(text))
        except (yaml.YAMLError, ValidationError) as error:
            raise InvalidInputError(f"the criteria catalogue cannot be used: {error}") from error
        return cls(document)

    def extended(self, own: Sequence[Criterion], *, keep: bool) -> Self:
        """This catalogue with criteria of a user's after its own, or ``own`` alone where not ``keep``.

        Raises:
            InvalidInputError: a name is taken already, or no name; a text is empty, too long or not one line;
                ``own`` alone are fewer than two.
        """
        entries = [{"name": item.name, "good": item.good, "scoring": item.scoring} for item in own]
        document = self._document.model_dump()
        document["criteria"] = [*document["criteria"], *entries] if keep else entries
        if not keep:
            document["fallback"] = [item.name for item in own[: FOR_PROMPTS.most]]
        try:
            extended = type(self)(_Document.model_validate(document))
        except ValidationError as error:
            raise InvalidInputError(f"the criteria cannot be used: {error.errors()[0]['msg']}") from error
        return extended

    def find(self, name: str) -> Criterion | None:
        """The criterion called ``name``, however it is cased, spaced or hyphenated, or by an alias."""
        return self._by_key.get(name_key(name))

    def _required(self, name: str) -> Criterion:
        criterion = self.find(name)
        if criterion is None:
            raise InvalidInputError(f"the fallback {name!r} is not in the catalogue", param="fallback")
        return criterion


@cache
def packaged_catalog() -> CriteriaCatalog:
    """The catalogue that comes with the package, read once."""
    return CriteriaCatalog.load()
