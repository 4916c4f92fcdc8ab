"""Answers that have to be JSON of a certain form."""

import json
import math
from collections.abc import Iterator
from itertools import islice

from typing_extensions import override

from optimizer.quoting import quote_inline
from optimizer.types import JsonObject, JsonValue, Unscored
from rewards.checks.bounded_schema import MAX_STEPS, BoundedSchema, TooManyStepsError
from rewards.checks.check import FAILED, PASSED, Rule, Verdict

MAX_ANSWER = 200_000
"""Characters of an answer that is looked at; a longer one has no verdict."""
MAX_BLOCKS = 20
"""Fenced blocks of an answer that are looked at, the first ones."""

_MAX_SAID = 300
_FENCE = "```"


class JsonSchemaRule(Rule):
    """Asks that the answer as a whole, or a fenced block in it, is JSON that a schema accepts.

    References stay within the schema, patterns are RE2's, and ``format`` is a remark, as the standard has it.
    """

    def __init__(self, schema: JsonObject) -> None:
        """Validate by ``schema``.

        Raises:
            InvalidInputError: it is no schema, or uses what is not supported.
        """
        self._schema = BoundedSchema(schema)

    @override
    def judge(self, answer: str) -> Verdict | Unscored:
        if len(answer) > MAX_ANSWER:
            return Unscored(reason=f"the answer is longer than {MAX_ANSWER} characters")
        faults: list[str] = []
        for text in (answer, *islice(_blocks(answer), MAX_BLOCKS)):
            try:
                fault = self._schema.fault(_parse(text))
            except TooManyStepsError:
                return Unscored(reason=f"validating the answer takes more than {MAX_STEPS} steps")
            except (ValueError, RecursionError):
                continue
            if fault is None:
                return Verdict(score=PASSED, rationale="The schema accepts the answer.")
            faults.append(f"The schema does not accept the answer: {fault}")
        said = faults[0] if faults else "Neither the answer nor a fenced block in it is JSON."
        return Verdict(score=FAILED, rationale=quote_inline(said, limit=_MAX_SAID).text)


def _blocks(answer: str) -> Iterator[str]:
    """The fenced blocks, in their order; one that is not closed goes to the end."""
    block: list[str] | None = None
    for line in answer.split("\n"):
        mark = line.strip()
        if block is None:
            block = [] if mark.startswith(_FENCE) else None
        elif mark == _FENCE:
            yield "\n".join(block)
            block = None
        else:
            block.append(line)
    if block is not None:
        yield "\n".join(block)


def _parse(text: str) -> JsonValue:
    """``text`` as JSON.

    Raises:
        ValueError: it is none; NaN and Infinity are none either.
    """
    value: JsonValue = json.loads(text, parse_float=_finite, parse_constant=_finite)
    return value


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is not a number")
    return value
