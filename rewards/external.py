"""The score of a user's own service: what it is sent, and how its reply is read."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from optimizer.errors import MisconfiguredError, RequestRefusedError
from optimizer.protocols import ChatModel
from optimizer.types import (
    CompletionRequest,
    CriterionScore,
    JsonObject,
    JsonValue,
    Query,
    ScoreSource,
    Unscored,
)
from rewards.cleaning import clean_text
from rewards.parsing import HIGHEST_SCORE, LOWEST_SCORE
from rewards.types import Criterion

ANSWERED = "stop"
"""The ``finish_reason`` of a reply that is meant to be a score; any other one says what it is instead."""

_MAX_REASON = 500


class Scale(StrEnum):
    """The range of the scores that the service gives."""

    ONE_TO_FIVE = "1-5"
    ZERO_TO_ONE = "0-1"


_ENDS = {Scale.ONE_TO_FIVE: (LOWEST_SCORE, HIGHEST_SCORE), Scale.ZERO_TO_ONE: (0.0, 1.0)}


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalScorer:
    """Has a user's own service score an answer.

    Attributes:
        model: carries the request, as text, and brings the reply; it is asked as any model is.
        name: the criterion's name.
        weight: how much the score counts; 0 for not at all.
        scale: the range of its scores.
    """

    model: ChatModel
    name: str
    weight: float = 1.0
    scale: Scale = Scale.ONE_TO_FIVE

    async def score(
        self, query: Query, answer: str, criteria: Mapping[Criterion, float]
    ) -> CriterionScore | Unscored:
        """The service's score of ``answer`` to ``query``; ``criteria`` are those of the query by weight.

        Equal answers to the same query are asked about once.

        Returns:
            ``Unscored`` where it refuses, or replies with something else than a score in its range.

        Raises:
            ModelError: it cannot be reached, or there is no such service.
            BudgetExceededError: no call left.
        """
        request = CompletionRequest(prompt=_body(query, answer, criteria))
        try:
            result = await self.model.complete(request)
        except MisconfiguredError:
            raise
        except RequestRefusedError as error:
            return self._missing(str(error))
        (completion,) = result.completions
        if completion.finish_reason != ANSWERED:
            return self._missing(f"{completion.finish_reason}: {completion.text}")
        return self._read(completion.text)

    def _read(self, text: str) -> CriterionScore | Unscored:
        try:
            reply: JsonValue = json.loads(text)
        except (ValueError, RecursionError):
            return self._missing("the reply is no JSON")
        if not isinstance(reply, dict):
            return self._missing("the reply is no JSON object")
        score = _number(reply.get("score"))
        low, high = _ENDS[self.scale]
        if score is None or not low <= score <= high:
            return self._missing(f"`score` has to be a number from {low:g} to {high:g}")
        rationale = reply.get("rationale")
        return CriterionScore(
            criterion=self.name,
            score=LOWEST_SCORE + (score - low) / (high - low) * (HIGHEST_SCORE - LOWEST_SCORE),
            rationale=clean_text(rationale) if isinstance(rationale, str) else "",
            weight=self.weight,
            source=ScoreSource.HTTP,
        )

    def _missing(self, reason: str) -> Unscored:
        return Unscored(reason=clean_text(f"{self.name}: {reason}", limit=_MAX_REASON))


def _number(value: JsonValue) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _body(query: Query, answer: str, criteria: Mapping[Criterion, float]) -> str:
    listed: list[JsonValue] = [
        {"name": item.name, "description": item.scoring, "weight": weight}
        for item, weight in criteria.items()
    ]
    body: JsonObject = {"query": query.text, "kind": query.kind, "answer": answer, "criteria": listed}
    return json.dumps(body)  # escapes, so that half a character is no obstacle
