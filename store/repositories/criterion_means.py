"""How answers do on each criterion, summed up where the evaluations are."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import ColumnElement, Double, Row, String, cast, func, literal, select
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
        item = self._items()
        name = self._field(item, "criterion")
        score: ColumnElement[float] = cast(self._field(item, "score"), Double())
        whose: ColumnElement[str] = literal("", String())
        groups: list[ColumnElement[str] | ColumnElement[int]] = [
            Evaluation.phase.expression,
            Evaluation.round.expression if width == 1 else Evaluation.round // width,
            name,
        ]
        if candidate_ids is not None:
            whose = Evaluation.candidate_id.expression
            groups.append(whose)
        statement = (
            select(
                whose,
                Evaluation.phase,
                func.min(Evaluation.round),
                func.max(Evaluation.round),
                name,
                func.avg(score),
                func.count(score),
            )
            .select_from(Evaluation)
            .join(item, score.is_not(None))
            .where(Evaluation.optimization_id == optimization_id)
            .group_by(*groups)
            .order_by(*groups)
            .limit(limit)
        )
        if phase is not None:
            statement = statement.where(Evaluation.phase == phase)
        if candidate_ids is not None:
            statement = statement.where(Evaluation.candidate_id.in_(candidate_ids))
        async with self._db.read() as session:
            return tuple(_sum(row) for row in await session.execute(statement))

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
