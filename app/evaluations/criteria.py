"""Criteria that the caller has chosen, in place of the selector."""

from collections.abc import Sequence

from typing_extensions import override

from app.evaluations.schemas import CriterionInput
from optimizer.errors import InvalidInputError
from optimizer.types import Query
from rewards.catalog import MAX_GOOD, packaged_catalog
from rewards.cleaning import clean_line, clean_name, name_key
from rewards.types import Criterion, CriterionOrigin, QuerySelector, Selection, SelectionSource


class ChosenCriteria(QuerySelector):
    """Gives the same criteria for every query; asks nobody."""

    def __init__(self, criteria: Sequence[Criterion]) -> None:
        """A selector that always gives ``criteria``."""
        self._criteria = tuple(criteria)

    @property
    @override
    def model_name(self) -> str:
        return "caller"

    @property
    @override
    def template_version(self) -> str:
        return "chosen"

    @property
    @override
    def catalogue_version(self) -> str:
        return packaged_catalog().version

    @override
    async def select(self, query: Query, *, seed: int) -> Selection:
        return Selection(
            criteria=self._criteria,
            rationale="",
            source=SelectionSource.SELECTED,
            selector_model=self.model_name,
            template_version=self.template_version,
        )


def chosen_criteria(given: Sequence[CriterionInput]) -> tuple[Criterion, ...]:
    """The criteria that a request names or describes.

    Raises:
        InvalidInputError: one is neither built in nor described, cannot be named so, or is there twice.
    """
    found: dict[str, Criterion] = {}
    for place, item in enumerate(given):
        param = f"criteria.{place}"
        criterion = _criterion(item, param)
        if name_key(criterion.name) in found:
            raise InvalidInputError(f"{param}: {criterion.name!r} is there twice", param=param)
        found[name_key(criterion.name)] = criterion
    return tuple(found.values())


def _criterion(item: CriterionInput, param: str) -> Criterion:
    known = packaged_catalog().find(item.name)
    if item.description is None:
        if known is None:
            names = ", ".join(criterion.name for criterion in packaged_catalog().criteria)
            raise InvalidInputError(
                f"{param}: there is no built-in criterion {item.name!r}: describe it, or take one of {names}",
                param=param,
            )
        return known
    if clean_name(item.name) != item.name:
        raise InvalidInputError(
            f"{param}: {item.name!r} has to be made of letters, digits, spaces and hyphens", param=param
        )
    good = clean_line(item.description, limit=MAX_GOOD)
    if not good:
        raise InvalidInputError(f"{param}: the description is blank", param=param)
    scoring = clean_line(item.description, limit=len(item.description))
    return Criterion(name=item.name, good=good, scoring=scoring, origin=CriterionOrigin.USER)
