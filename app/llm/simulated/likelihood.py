"""How likely a simulated model finds a given text: as often as it uses its words itself.

A word is as likely as it is frequent in a few answers of the model to the same prompt, and never impossible.
What was asked is told in no such way: all of its words are equally likely.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from app.llm.simulated.draws import digest
from optimizer.types import JsonObject, JsonValue

ANSWERS: Final = 16
"""Of the model's own, from which its words are counted."""

_WORD: Final = re.compile(r"\s*\S+")
_VOCABULARY: Final = 5_000
_ANYTHING: Final = 0.1
"""Probability that it keeps for words that it does not use."""
_ANSWER: Final = "# Answer:\n"


def split_text(prompt: str) -> tuple[str, str]:
    """What a base model is sent, as what was asked and the answer that it begins with."""
    at = prompt.rfind(_ANSWER)
    return (prompt, "") if at < 0 else (prompt[: at + len(_ANSWER)], prompt[at + len(_ANSWER) :])


def prompt_logprobs(before: str, text: str, answers: Sequence[str]) -> list[JsonValue]:
    """A place for each word of ``before`` and ``text``, as vLLM describes it.

    Args:
        before: what was asked.
        text: the answer to it that is not over yet; may be empty.
        answers: the model's own.
    """
    counts = Counter(_plain(word) for answer in answers for word in answer.split())
    total = max(1, counts.total())

    def likely(word: str) -> float:
        share = counts[_plain(word)] / total
        return math.log((1 - _ANYTHING) * share + _ANYTHING / _VOCABULARY)

    asked: list[JsonValue] = [
        _place(word, math.log(1 / _VOCABULARY)) for word in _WORD.findall(before.rstrip())
    ]
    answered: list[JsonValue] = [_place(word, likely(word)) for word in _WORD.findall(text.rstrip())]
    return [None, *asked, *answered]


def _place(word: str, logprob: float) -> JsonObject:
    token = digest("token", word) % _VOCABULARY
    return {str(token): {"logprob": logprob, "rank": 1, "decoded_token": word}}


def _plain(word: str) -> str:
    return word.strip(" \n\t.,;:!?()\"'*_`").casefold()
