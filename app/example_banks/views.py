"""Example banks as the API shows them, from what the store has recorded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Literal

from app.example_banks.schemas import AnswerObject, BankExample, ExampleBankObject, RefinementProgress
from app.jobs.banks.spec import BankSpec
from app.jobs.spending import show_spend
from app.jobs.views import show_budget, show_controls, show_error
from optimizer.examples.answers import ExampleDraft
from optimizer.types import Example, JsonObject
from store.records.calls import LedgerShare
from store.records.optimizations import OptimizationRecord, OptimizationStatus
from store.records.progress import AnswerRecord, ExampleReward, RoundRecord

_UNTRIED = ExampleReward(first=None, best=None, judged=0, unscored=0)


def show_bank(
    record: OptimizationRecord,
    rounds: Sequence[RoundRecord],
    rewards: Mapping[str, ExampleReward],
    share: LedgerShare,
) -> ExampleBankObject:
    """A bank without its examples."""
    spec = BankSpec.from_json(record.spec)
    result = record.result or {}
    return ExampleBankObject(
        id=record.id,
        name=spec.name,
        status=record.status.value,
        bank_id=_text(result.get("bank_id")),
        refine=spec.refine,
        preset=spec.preset,
        settings=spec.config,
        budget=show_budget(record, spec.budget),
        created_at=record.created_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        elapsed_seconds=record.elapsed_seconds,
        **show_controls(record).model_dump(),
        error=show_error(record),
        progress=_progress(record, rounds, rewards.values()),
        usage=show_spend(share),
        calls_max=spec.calls_max,
        end=_text(result.get("end")),
        models=_object(result.get("models")),
    )


def show_examples(
    record: OptimizationRecord,
    drafts: Sequence[ExampleDraft],
    bank: Sequence[Example],
    rewards: Mapping[str, ExampleReward],
) -> list[BankExample]:
    """The examples of a bank; ``bank`` is empty before its job has ended."""
    answers = {example.id: example.answer for example in bank}
    ends = _by_id((record.result or {}).get("examples"))
    shown = []
    for draft in drafts:
        reward, end = rewards.get(draft.id, _UNTRIED), ends.get(draft.id, {})
        shown.append(
            BankExample(
                id=draft.id,
                query=draft.query,
                kind=draft.kind,
                given_answer=draft.answer,
                answer=answers.get(draft.id),
                first_reward=reward.first,
                best_reward=reward.best,
                judged=reward.judged,
                end=_text(end.get("end")),
            )
        )
    return shown


def show_answer(answer: AnswerRecord) -> AnswerObject:
    """One answer with its score and provenance."""
    return AnswerObject.model_validate({**asdict(answer), "criteria": list(answer.criteria)})


def _progress(
    record: OptimizationRecord, rounds: Sequence[RoundRecord], rewards: Iterable[ExampleReward]
) -> RefinementProgress:
    last = rounds[-1] if rounds else None
    known = list(rewards)
    scored = [(item.first, item.best) for item in known if item.first is not None and item.best is not None]
    return RefinementProgress(
        phase=_phase(record),
        round=None if last is None else last.round,
        rounds_left=None if last is None else last.rounds_left,
        answers=sum(item.judged for item in known),
        unscored=sum(item.unscored for item in known),
        mean_first=fmean(first for first, _ in scored) if scored else None,
        mean_best=fmean(best for _, best in scored) if scored else None,
    )


def _phase(record: OptimizationRecord) -> Literal["queued", "refining", "finished"]:
    if record.status.is_final:
        return "finished"
    return "queued" if record.status is OptimizationStatus.QUEUED else "refining"


def _by_id(value: object) -> dict[str, JsonObject]:
    entries = value if isinstance(value, list) else []
    return {str(entry["id"]): entry for entry in entries if isinstance(entry, dict)}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}
