"""Randomness that depends on nothing but names: the same names give the same draws on every machine."""

import hashlib
import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """One sample: its temperature, and what tells it from other samples of the same request."""

    temperature: float
    seed: int
    index: int


def digest(*parts: str | int) -> int:
    """A 64-bit number for ``parts``."""
    text = "\x1f".join([str(part) for part in parts])
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def generator(*parts: str | int) -> random.Random:
    """A generator seeded by ``parts``."""
    return random.Random(digest(*parts))


def share(*parts: str | int) -> float:
    """A number in 0..1 for ``parts``, uniform over different ones."""
    return digest(*parts) / 2**64
