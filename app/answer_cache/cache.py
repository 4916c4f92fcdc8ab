"""Answers that are kept for a while, and given again to exactly the same request."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

_FORM: Final = b"1"
"""Another one for each form in which answers are kept, so that none is read that was written in another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptAnswer:
    """What a backend has answered.

    Attributes:
        content: the body of a whole answer, or all frames of a stream, its end among them.
        backend / upstream_model: who was asked, by their configured names.
    """

    content: bytes
    backend: str
    upstream_model: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A kept answer, and how long ago it was given."""

    answer: KeptAnswer
    age_seconds: float


class AnswerCache(Protocol):
    """Keeps answers. It may forget any of them at any time, and never fails a request.

    Attributes:
        max_entry_bytes: the longest answer that is kept.
    """

    max_entry_bytes: int

    async def find(self, key: str) -> Found | None:
        """The answer that is kept under ``key``, or None."""
        ...

    def keep(self, key: str, answer: KeptAnswer, *, ttl_seconds: float) -> None:
        """Keep ``answer`` under ``key`` for so long, unless it is too long; nobody waits for that."""
        ...

    async def aclose(self) -> None:
        """Let go of what is held open."""
        ...


def answer_key(parts: Sequence[bytes]) -> str:
    """The name of whatever ``parts`` together say: two sequences that differ anywhere have two names."""
    digest = hashlib.sha256(_FORM)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
