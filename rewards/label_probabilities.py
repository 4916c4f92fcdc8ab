"""What a judge's log-probabilities say: the expected label at each place where it wrote one."""

import math
import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from optimizer.errors import MalformedReplyError
from optimizer.types import JsonObject, JsonValue

LABELS: Final = {"1": 1.0, "2": 2.0, "3": 3.0, "4": 4.0, "5": 5.0}
"""Labels as they are written, and what they are worth."""
LEAST_LABEL_MASS: Final = 0.5
"""The share of the probability that has to lie on labels: below it the token is no score but a slip."""

_GOES_ON = re.compile(r"\d|[.,]\d|/(?!5(?!\d))")
"""What makes a digit a part of another number: ``45``, ``4.5``, ``4/10``; as in ``4/5`` it stays a label."""


def expected_labels(logprobs: JsonValue, count: int) -> tuple[float | None, ...]:
    """The expected label at the first ``count`` labels of a reply, each in 1..5.

    A token is a label with or without space around it (``4``, `` 4``): the probabilities of
    all its forms count together. What lies on no label is left out, and the rest is scaled to 1.

    Args:
        logprobs: a choice's ``logprobs`` in the form of the chat API, ``{"content": [{"token", "logprob",
            "top_logprobs"}, ...]}``; None where the backend has none.
        count: labels that were asked for.

    Returns:
        ``count`` values; None where less than ``LEAST_LABEL_MASS`` lies on labels.

    Raises:
        MalformedReplyError: the reply does not begin with ``count`` labels, or has no log-probabilities.
    """
    places = list(islice(_label_places(_tokens(logprobs)), count))
    if len(places) < count:
        raise MalformedReplyError(
            f"the reply begins with {len(places)} labels that have log-probabilities, not with {count}"
        )
    return tuple(map(_expected, places))


def _tokens(logprobs: JsonValue) -> list[tuple[str, JsonObject]]:
    """The reply's tokens with what is known of each, up to the first that cannot be read."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    found: list[tuple[str, JsonObject]] = []
    for entry in content if isinstance(content, list) else ():
        token = entry.get("token") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(token, str):
            break
        found.append((token, entry))
    return found


def _label_places(tokens: list[tuple[str, JsonObject]]) -> Iterator[JsonObject]:
    """The tokens that are labels, up to the first that is neither a label nor space."""
    reply, end = "".join(token for token, _ in tokens), 0
    for token, entry in tokens:
        end += len(token)
        if token.strip() in LABELS and not (token[-1].isdigit() and _GOES_ON.match(reply, end)):
            yield entry
        elif token.strip():
            return


def _expected(place: JsonObject) -> float | None:
    mass = dict.fromkeys(LABELS, 0.0)
    for token, probability in _alternatives(place).items():
        if token.strip() in mass:
            mass[token.strip()] += probability
    total = sum(mass.values())
    if total < LEAST_LABEL_MASS:
        return None
    return sum(LABELS[label] * share for label, share in mass.items()) / total


def _alternatives(place: JsonObject) -> dict[str, float]:
    """Token to probability. The sampled one may be among the alternatives again, and counts once."""
    others = place.get("top_logprobs")
    found: dict[str, float] = {}
    for entry in (place, *(others if isinstance(others, list) else ())):
        token = entry.get("token") if isinstance(entry, dict) else None
        logprob = entry.get("logprob") if isinstance(entry, dict) else None
        if isinstance(token, str) and isinstance(logprob, int | float):
            found[token] = math.exp(min(0.0, logprob))
    return found
