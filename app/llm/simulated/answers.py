"""What a reader sees in an answer: signs for and against each trait."""

from dataclasses import dataclass

from app.llm.simulated.banks import signs
from app.llm.simulated.plain import hits
from app.llm.simulated.traits import Trait


@dataclass(frozen=True, slots=True)
class SeenSigns:
    """The cues seen that speak for a trait, and those that speak against it."""

    shows: tuple[str, ...]
    lacks: tuple[str, ...]


def read_signs(words: str, trait: Trait) -> SeenSigns:
    """The signs of ``trait`` in the plain text ``words``."""
    entry = signs()[trait]
    return SeenSigns(shows=hits(words, entry.shows), lacks=hits(words, entry.lacks))
