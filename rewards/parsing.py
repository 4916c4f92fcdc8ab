"""Reading the selector's and the judge's JSON: tolerant in form, strict in what counts as a score."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from optimizer.errors import MalformedReplyError
from optimizer.types import CriterionScore, JsonObject, JsonValue
from rewards.catalog import MAX_GOOD, CriteriaCatalog
from rewards.cleaning import clean_line, clean_name, clean_text, name_key
from rewards.types import FOR_PROMPTS, Criterion, CriterionOrigin

_AROUND_SCORE = " \t\r\n*_`."
LOWEST_SCORE = 1.0
HIGHEST_SCORE = 5.0

_SCORE_TEXT = re.compile(
    r"(?:score ?[:=]? ?)?(-?[0-9]{1,9}(?:[.,][0-9]{1,9})?)(?: ?(?:/|of|out of) ?5(?:\.0)?)?", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionReading:
    """What a selector's reply says.

    Attributes:
        criteria: usable ones, at least one, no two with the same name.
        rationale: why these; may be empty.
    """

    criteria: tuple[Criterion, ...]
    rationale: str


def read_selection(
    reply: JsonObject, catalog: CriteriaCatalog, *, max_new: int, most: int = FOR_PROMPTS.most
) -> SelectionReading:
    """Read ``{"criteria": [{"name", "description", "reason"}, ...], "reasoning"}``.

    A criterion may also be given by its name alone. Names are matched to the catalogue loosely; a new one
    needs a description. Of several with the same name the first counts; what is over ``most``, or over
    ``max_new`` new ones, is left out.

    Raises:
        MalformedReplyError: not one usable criterion.
    """
    chosen: dict[str, Criterion] = {}
    reasons: list[str] = []
    new = 0
    for entry in _objects(reply.get("criteria")):
        criterion = _criterion(entry, catalog)
        if criterion is None or name_key(criterion.name) in chosen:
            continue
        if criterion.origin is CriterionOrigin.SELECTOR:
            if new == max_new:
                continue
            new += 1
        chosen[name_key(criterion.name)] = criterion
        reasons.append(f"{criterion.name}: {_text(entry, 'reason')}".removesuffix(": "))
        if len(chosen) == most:
            break
    if not chosen:
        raise MalformedReplyError("`criteria` has to list objects with a `name` from the list")
    return SelectionReading(
        criteria=tuple(chosen.values()),
        rationale=clean_text(_text(reply, "reasoning") or "\n".join(reasons)),
    )


def read_scores(reply: JsonObject, criteria: Sequence[Criterion]) -> tuple[CriterionScore, ...]:
    """Read ``{"scores": [{"criterion", "rationale", "score"}, ...]}`` or ``{name: {"rationale", "score"}}``.

    A score may be a number or a text such as ``"4.5"``, ``"4/5"`` or ``"4 out of 5"``; it is clamped to
    1..5. A criterion without a readable score is missing from the result, one that was not asked for is
    ignored, and of several readable scores for one criterion the first counts.

    Args:
        reply: the judge's object.
        criteria: those asked for.

    Returns:
        At least one score, in the order of ``criteria`` and under their names.

    Raises:
        MalformedReplyError: not one readable score.
    """
    asked = {name_key(criterion.name): criterion.name for criterion in criteria}
    found: dict[str, CriterionScore] = {}
    for name, verdict in _verdicts(reply, asked):
        key = name_key(name)
        score = read_score(verdict.get("score"))
        if key in asked and key not in found and score is not None:
            rationale = clean_text(_text(verdict, "rationale") or _text(verdict, "reason"))
            found[key] = CriterionScore(criterion=asked[key], score=score, rationale=rationale)
    if not found:
        raise MalformedReplyError(
            "`scores` has to list, for each criterion asked for, an object with `criterion`, `rationale` "
            "and a `score` from 1 to 5"
        )
    return tuple(found[key] for key in asked if key in found)


def read_score(value: JsonValue) -> float | None:
    """A score in 1..5, or None where ``value`` does not say one. Out-of-range numbers are clamped."""
    if isinstance(value, str):
        match = _SCORE_TEXT.fullmatch(value.strip(_AROUND_SCORE))
        return None if match is None else _clamp(float(match[1].replace(",", ".")))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _clamp(value)


def _clamp(number: float) -> float:
    # Before the conversion: an integer may be too large for a float.
    return float(min(max(number, LOWEST_SCORE), HIGHEST_SCORE))


def _text(source: JsonObject, field: str) -> str:
    value = source.get(field)
    return value.strip() if isinstance(value, str) else ""


def _objects(value: JsonValue) -> Iterator[JsonObject]:
    """The objects in a list; a bare text stands for an object with that name."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item
        elif isinstance(item, str):
            yield {"name": item}


def _criterion(entry: JsonObject, catalog: CriteriaCatalog) -> Criterion | None:
    name = clean_name(_text(entry, "name"))
    if not name:
        return None
    known = catalog.find(name)
    if known is not None:
        return known
    description = clean_line(_text(entry, "description"), limit=MAX_GOOD)
    if not description:
        return None
    return Criterion(name=name, good=description, scoring=description, origin=CriterionOrigin.SELECTOR)


def _verdicts(reply: JsonObject, asked: dict[str, str]) -> Iterator[tuple[str, JsonObject]]:
    """The reply's verdicts with the names they are given under, whichever of the known shapes it has."""
    scores = _unwrapped(reply, asked)
    if isinstance(scores, list):
        for entry in _objects(scores):
            yield _text(entry, "criterion") or _text(entry, "name"), entry
    elif isinstance(scores, dict):
        for name, verdict in scores.items():
            yield name, verdict if isinstance(verdict, dict) else {"score": verdict}


def _unwrapped(reply: JsonObject, asked: dict[str, str]) -> JsonValue:
    """What lies under ``scores``, or under wrappers with a single key that is no criterion asked for."""
    value: JsonValue = reply
    while isinstance(value, dict):
        scores = value.get("scores")
        if isinstance(scores, list | dict):
            value = scores
        elif len(value) == 1 and not any(name_key(name) in asked for name in value):
            (value,) = value.values()
        else:
            break
    return value
