"""Selections to JSON and back, for the records that outlive a process."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optimizer.types import JsonObject
from rewards.types import (
    MAX_CRITERIA,
    MIN_CRITERIA,
    Criterion,
    CriterionOrigin,
    Selection,
    SelectionKey,
    SelectionSource,
)


class _CriterionRow(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)
    good: str = Field(min_length=1)
    scoring: str = Field(min_length=1)
    origin: CriterionOrigin


class _SelectionRow(BaseModel):
    model_config = ConfigDict(extra="forbid")

    criteria: list[_CriterionRow] = Field(min_length=MIN_CRITERIA, max_length=MAX_CRITERIA)
    rationale: str
    source: SelectionSource


def selection_to_json(selection: Selection) -> JsonObject:
    """The criteria, the rationale and the source; the rest of a kept selection is in its key."""
    return {
        "criteria": [
            {
                "name": criterion.name,
                "good": criterion.good,
                "scoring": criterion.scoring,
                "origin": criterion.origin.value,
            }
            for criterion in selection.criteria
        ],
        "rationale": selection.rationale,
        "source": selection.source.value,
    }


def selection_from_json(value: JsonObject, key: SelectionKey) -> Selection | None:
    """The selection kept under ``key``, or None where ``value`` is not one (any more)."""
    try:
        row = _SelectionRow.model_validate(value)
    except ValidationError:
        return None
    return Selection(
        criteria=tuple(
            Criterion(name=item.name, good=item.good, scoring=item.scoring, origin=item.origin)
            for item in row.criteria
        ),
        rationale=row.rationale,
        source=row.source,
        selector_model=key.selector_model,
        template_version=key.template_version,
    )
