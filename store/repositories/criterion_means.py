"""How answers do on each criterion, summed up where the evaluations are."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import ColumnElement, Double, Row, Select, String, cast, func, literal, select, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.selectable import TableValuedAlias

from store.connections import Database
from store.models.evaluation import Evaluation

_Row: TypeAlias = Row[str, str, int, int, str, float, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class CriterionSum:
    """The scores on a criterion in one round of one phase.

    Attributes:
        candidate_id: whose they are; None for those of all candidates.
        last_round: where several rounds in a row are taken together, the last of them; else ``round``.
        evaluations: how many have a score on it.
    """

    candidate_id: str | None
    phase: str
    round: int
    last_round: int
    criterion: str
    mean: float
    evaluations: int


class CriterionMeansRepository:
    """Reads what ``store.progress`` has written."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def by_round(
        self, optimization_id: str, *, phase: str | None = None, columns: int | None = None, limit: int
    ) -> tuple[CriterionSum, ...]:
        """For each round of each phase the mean of each criterion, over all candidates.

        Args:
            optimization_id: of this optimization.
            phase: only this one.
            columns: where there are more rounds than that, as many of them in a row are taken together as
                leave this number.
            limit: at most so many means.
        """
        width = 1
        if columns is not None:
            last = select(func.max(Evaluation.round)).where(Evaluation.optimization_id == optimization_id)
            async with self._db.read() as session:
                width = math.ceil(((await session.scalar(last) or 0) + 1) / columns)
        return await self._sums(
            optimization_id, phase=phase, candidate_ids=None, width=max(width, 1), limit=limit
        )

    async def of_candidates(
        self, optimization_id: str, candidate_ids: Collection[str], *, phase: str
    ) -> tuple[CriterionSum, ...]:
        """For each of some candidates the mean of each criterion in each round of a phase."""
        return await self._sums(
            optimization_id, phase=phase, candidate_ids=candidate_ids, width=1, limit=None
        )

    async def _sums(
        self,
        optimization_id: str,
        *,
        phase: str | None,
        candidate_ids: Collection[str] | None,
        width: int,
        limit: int | None,
    ) -> tuple[CriterionSum, ...]:
        one = self._verdicts(optimization_id, phase, candidate_ids).subquery()
        whose: ColumnElement[str] = literal("", String()) if candidate_ids is None else one.c.candidate_id
        rounds = one.c.round if width == 1 else one.c.round // width
        groups = [one.c.phase, rounds, one.c.criterion]
        if candidate_ids is not None:
            groups.append(whose)
        statement = (
            select(
                whose,
                one.c.phase,
                func.min(one.c.round),
                func.max(one.c.round),
                one.c.criterion,
                func.avg(one.c.score),
                func.count(one.c.score),
            )
            .where(one.c.score.is_not(None))
            .group_by(*groups)
            .order_by(*groups)
            .limit(limit)
        )
        async with self._db.read() as session:
            return tuple(_sum(row) for row in await session.execute(statement))

    def _verdicts(
        self, optimization_id: str, phase: str | None, candidate_ids: Collection[str] | None
    ) -> Select[str, str, int, str, float]:
        """Every verdict; the offset keeps databases from reading its JSON for each use anew."""
        item = self._items()
        statement: Select[str, str, int, str, float] = (
            select(
                Evaluation.candidate_id,
                Evaluation.phase,
                Evaluation.round,
                self._field(item, "criterion").label("criterion"),
                cast(self._field(item, "score"), Double()).label("score"),
            )
            .select_from(Evaluation)
            .join(item, true())
            .where(Evaluation.optimization_id == optimization_id)
            .offset(0)
        )
        if phase is not None:
            statement = statement.where(Evaluation.phase == phase)
        if candidate_ids is not None:
            statement = statement.where(Evaluation.candidate_id.in_(candidate_ids))
        return statement

    def _items(self) -> TableValuedAlias:
        """The verdicts of an evaluation as rows."""
        if self._db.dialect == "postgresql":
            return func.jsonb_array_elements(Evaluation.criteria).table_valued("value")
        return func.json_each(Evaluation.criteria).table_valued("value")

    def _field(self, item: TableValuedAlias, name: str) -> ColumnElement[str]:
        """A field of a verdict as text."""
        if self._db.dialect == "postgresql":
            return func.jsonb_extract_path_text(cast(item.c.value, JSONB()), name, type_=String())
        return func.json_extract(item.c.value, f"$.{name}", type_=String())


def _sum(row: _Row) -> CriterionSum:
    candidate, phase, first, last, criterion, mean, count = row
    return CriterionSum(
        candidate_id=candidate or None,
        phase=phase,
        round=first,
        last_round=last,
        criterion=criterion,
        mean=float(mean),
        evaluations=int(count),
    )
