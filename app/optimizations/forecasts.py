"""What a job will take, before it starts: calls by its settings, the rest by earlier jobs or the texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean

from app.jobs.spec import BudgetSpec, JobSpec
from app.llm.prices import Price
from app.optimizations.embedding_work import EmbeddingWork
from app.optimizations.estimates import racing_plan, within_queries
from app.optimizations.forecast_schemas import Forecast, LimitName, Range, RoleForecast
from app.resources import Resources
from optimizer.estimate import CallRange, calls_by_role
from optimizer.plan import racing_calls_by_role
from optimizer.types import ModelRole, Usage
from store.records.calls import CallSpend
from store.records.optimizations import JobKind, OptimizationRecord, OptimizationStatus

_RECENT, _USED = 50, 5
"""Ended jobs that are looked at, and those of them with the same models whose figures are used."""
_CHARACTERS_PER_TOKEN = 4.0
_SPREAD_OF_ONE_JOB = 0.3
_META_PROMPTS = {ModelRole.PROPOSER: 6_000, ModelRole.SELECTOR: 4_500, ModelRole.JUDGE: 3_000}
"""Characters of what these roles are told besides the texts of the job, about."""
_USUAL_ANSWER = 300
"""Tokens of an answer where nothing is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobTexts:
    """The texts of a job, as far as they cost something.

    Attributes:
        characters: of what a target is sent: prompt, examples and query of one request, on average.
        embedding: what finding examples by meaning takes; None for nothing.
    """

    characters: float
    embedding: EmbeddingWork | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Past:
    """An earlier job: what each role's calls took, and how long all of them."""

    by_role: Mapping[str, CallSpend]
    seconds_per_call: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _CallTokens:
    """Tokens of one call, and whether earlier jobs have measured them."""

    prompt: Range
    answer: Range
    measured: bool


async def forecast(spec: JobSpec, target: str, texts: JobTexts, resources: Resources) -> Forecast:
    """What the job ``spec`` for ``target`` will take."""
    past = await _earlier_jobs(target, resources)
    calls = _calls_by_role(spec)
    roles = {
        role.value: _role(calls[role], _tokens(role, spec, texts, past), resources.models.price(role, target))
        for role in calls
    }
    if texts.embedding is not None:
        roles[ModelRole.EMBEDDER.value] = _embedder(texts.embedding)
    whole = _total(roles)
    seconds = _times(_ends([job.seconds_per_call for job in past]), whole["calls"]) if past else None
    share, cut_by = _within(spec.budget, whole, seconds)
    cut = {name: _scale_role(role, share) for name, role in roles.items()}
    total = _total(cut)
    return Forecast(
        calls=_whole(total["calls"], spec.budget.calls),
        prompt_tokens=_whole(total["prompt_tokens"]),
        completion_tokens=_whole(total["completion_tokens"]),
        cost=total["cost"],
        seconds=None if seconds is None else _scale(seconds, share),
        by_role=cut,
        jobs_measured=len(past),
        cut_by=cut_by,
    )


def _calls_by_role(spec: JobSpec) -> Mapping[ModelRole, CallRange]:
    if spec.config.racing is not None:
        return racing_calls_by_role(
            racing_plan(spec), gate=spec.gate_size, rates=spec.rates, gate_judge=spec.gate_judge
        )
    return calls_by_role(
        within_queries(spec), gate=spec.gate_size, rates=spec.rates, gate_judge=spec.gate_judge
    )


async def _earlier_jobs(target: str, resources: Resources) -> list[_Past]:
    """The latest jobs that asked the models which this one would ask."""
    roles = [ModelRole.TARGET, ModelRole.PROPOSER, ModelRole.SELECTOR, ModelRole.JUDGE]
    if resources.models.has_gate_judge:
        roles.append(ModelRole.GATE_JUDGE)
    wanted = {role.value: resources.models.model_name(role, target) for role in roles}
    found: list[_Past] = []
    ended = await resources.optimizations.list(
        limit=_RECENT, status=OptimizationStatus.SUCCEEDED, kind=JobKind.PROMPT
    )
    for record in ended:
        if len(found) == _USED:
            break
        if _is_alike(record, target, wanted):
            share = await resources.spends.of(record.id)
            calls = sum(spend.calls for spend in share.by_role.values())
            if calls:
                found.append(_Past(by_role=share.by_role, seconds_per_call=record.elapsed_seconds / calls))
    return found


def _is_alike(record: OptimizationRecord, target: str, models: Mapping[str, str]) -> bool:
    asked = (record.result or {}).get("models")
    is_replay = JobSpec.from_json(record.spec).replay is not None
    return record.target == target and not is_replay and asked == models


def _tokens(role: ModelRole, spec: JobSpec, texts: JobTexts, past: Sequence[_Past]) -> _CallTokens:
    """What one call in ``role`` takes, as earlier jobs have measured it, else as the texts suggest."""
    spends = [job.by_role[role.value] for job in past if role.value in job.by_role]
    spends = [spend for spend in spends if spend.calls]
    if spends:
        return _CallTokens(
            prompt=_ends([spend.prompt_tokens / spend.calls for spend in spends]),
            answer=_ends([spend.completion_tokens / spend.calls for spend in spends]),
            measured=True,
        )
    asked_as = ModelRole.JUDGE if role is ModelRole.GATE_JUDGE else role
    sampling = getattr(spec.config, asked_as.value)
    tokens = (texts.characters + _META_PROMPTS.get(asked_as, 0)) / _CHARACTERS_PER_TOKEN
    usual = min(_USUAL_ANSWER, sampling.max_tokens)
    return _CallTokens(
        prompt=Range(low=tokens / 2, expected=tokens, high=3 * tokens),
        answer=Range(low=usual / 10, expected=usual, high=sampling.max_tokens),
        measured=False,
    )


def _role(calls: CallRange, tokens: _CallTokens, price: Price) -> RoleForecast:
    counted = Range(low=calls.low, expected=calls.expected, high=calls.high)
    sent, received = _times(tokens.prompt, counted), _times(tokens.answer, counted)

    def cost(prompt_tokens: float, completion_tokens: float) -> float:
        usage = Usage(prompt_tokens=round(prompt_tokens), completion_tokens=round(completion_tokens))
        return price.spend(usage).cost

    return RoleForecast(
        calls=counted,
        prompt_tokens=sent,
        completion_tokens=received,
        cost=Range(
            low=cost(sent.low, received.low),
            expected=cost(sent.expected, received.expected),
            high=cost(sent.high, received.high),
        ),
        measured=tokens.measured,
    )


def _embedder(work: EmbeddingWork) -> RoleForecast:
    """What texts are embedded is known, so earlier jobs say nothing better."""
    tokens = work.characters / _CHARACTERS_PER_TOKEN
    prompt = Range(low=tokens / 2, expected=tokens, high=3 * tokens)
    nothing = Range(low=0, expected=0, high=0)
    return _role(work.calls, _CallTokens(prompt=prompt, answer=nothing, measured=False), work.price)


def _ends(values: Sequence[float]) -> Range:
    """The range of what was measured; one job alone says less than it seems to."""
    mean = fmean(values)
    spread = _SPREAD_OF_ONE_JOB * mean
    return Range(low=min(*values, mean - spread), expected=mean, high=max(*values, mean + spread))


def _within(
    budget: BudgetSpec, whole: Mapping[str, Range], seconds: Range | None
) -> tuple[Range, list[LimitName]]:
    """The share of the whole that the budget has room for, and the limits that are expected to bind."""
    tokens = _add(whole["prompt_tokens"], whole["completion_tokens"])
    wanted: dict[LimitName, Range | None] = {
        "calls": whole["calls"],
        "tokens": tokens,
        "cost": whole["cost"],
        "seconds": seconds,
    }
    share, cut_by = Range(low=1.0, expected=1.0, high=1.0), list[LimitName]()
    for name, needed in wanted.items():
        limit = getattr(budget, name)
        if limit is None or needed is None:
            continue
        if needed.expected > limit:
            cut_by.append(name)
        share = Range(
            low=min(share.low, _part(limit, needed.low)),
            expected=min(share.expected, _part(limit, needed.expected)),
            high=min(share.high, _part(limit, needed.high)),
        )
    return share, cut_by


def _part(limit: float, needed: float) -> float:
    return limit / needed if needed > limit else 1.0


def _total(roles: Mapping[str, RoleForecast]) -> dict[str, Range]:
    total = {
        name: Range(low=0, expected=0, high=0)
        for name in ("calls", "prompt_tokens", "completion_tokens", "cost")
    }
    for role in roles.values():
        total = {name: _add(amount, getattr(role, name)) for name, amount in total.items()}
    return total


def _scale_role(role: RoleForecast, share: Range) -> RoleForecast:
    return RoleForecast(
        calls=_scale(role.calls, share),
        prompt_tokens=_scale(role.prompt_tokens, share),
        completion_tokens=_scale(role.completion_tokens, share),
        cost=_scale(role.cost, share),
        measured=role.measured,
    )


def _scale(amount: Range, share: Range) -> Range:
    scaled = _times(amount, share)
    # a limit may cut the upper end below what is expected without it: what is expected is within it, too
    high = max(scaled.high, scaled.expected)
    return Range(low=min(scaled.low, scaled.expected), expected=scaled.expected, high=high)


def _whole(amount: Range, limit: int | None = None) -> Range:
    """``amount`` in whole numbers, none of them beyond ``limit``."""
    most = inf if limit is None else limit
    return Range(
        low=min(round(amount.low), most),
        expected=min(round(amount.expected), most),
        high=min(round(amount.high), most),
    )


def _times(one: Range, other: Range) -> Range:
    return Range(
        low=round(one.low * other.low, 6),
        expected=round(one.expected * other.expected, 6),
        high=round(one.high * other.high, 6),
    )


def _add(one: Range, other: Range) -> Range:
    return Range(low=one.low + other.low, expected=one.expected + other.expected, high=one.high + other.high)
