"""Several judges, averaged."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from typing_extensions import override

from optimizer.concurrency import run_together
from optimizer.errors import MalformedReplyError, MisconfiguredError, RequestRefusedError
from optimizer.seeds import derive_seed
from optimizer.types import CriterionScore
from rewards.types import AnswerJudge, Selection


class JudgePanel(AnswerJudge):
    """Asks all judges at once and takes the mean, criterion by criterion, of those that could be read.

    A judge that refuses or cannot be read is missing, never zero. One that cannot be reached ends the run as
    a single one does: whether it is away is no part of the record that a later attempt goes by.
    """

    def __init__(self, judges: Mapping[str, AnswerJudge]) -> None:
        """A panel of ``judges`` by name, one at least."""
        self._judges = judges

    @property
    @override
    def model_name(self) -> str:
        return " + ".join(judge.model_name for judge in self._judges.values())

    @property
    @override
    def template_version(self) -> str:
        return " + ".join(dict.fromkeys(judge.template_version for judge in self._judges.values()))

    @override
    async def judge(
        self, query: str, answer: str, selection: Selection, *, seed: int
    ) -> tuple[CriterionScore, ...]:
        verdicts = await run_together(
            _ask(judge, query, answer, selection, derive_seed(seed, "judge", name))
            for name, judge in self._judges.items()
        )
        named = dict(zip(self._judges, verdicts, strict=True))
        read = {name: verdict for name, verdict in named.items() if not isinstance(verdict, str)}
        if not read:
            raise MalformedReplyError("; ".join(f"{name}: {verdict}" for name, verdict in named.items()))
        combined = (_combine(criterion.name, read) for criterion in selection.criteria)
        return tuple(score for score in combined if score is not None)


async def _ask(
    judge: AnswerJudge, query: str, answer: str, selection: Selection, seed: int
) -> tuple[CriterionScore, ...] | str:
    """A judge's scores, or why it has none."""
    try:
        return await judge.judge(query, answer, selection, seed=seed)
    except MisconfiguredError:
        raise
    except (RequestRefusedError, MalformedReplyError) as error:
        return str(error)


def _combine(name: str, read: Mapping[str, Sequence[CriterionScore]]) -> CriterionScore | None:
    """The judges' scores on one criterion as one; None where none of them scored it."""
    found = {judge: item for judge, scores in read.items() for item in scores if item.criterion == name}
    if not found:
        return None
    scores = [item.score for item in found.values()]
    reasons = (f"{judge} ({item.score:g}): {item.rationale}" for judge, item in found.items())
    return CriterionScore(
        criterion=name,
        score=fmean(scores),
        rationale="\n".join(reasons),
        spread=max(scores) - min(scores) if len(scores) > 1 else None,
    )
