"""From a job's row to how its answers are scored."""

import asyncio
import dataclasses
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from app.jobs.checks import build_check
from app.jobs.reward_spec import CriterionSpec, HttpScorerSpec, Judging, RewardSpec
from app.jobs.spec import JobSpec
from app.jobs.wiring import RunModels
from app.llm.http_scorer import ScorerPlace, scorer_name
from app.llm.registry import ModelRegistry
from app.llm.run_context import RunContext
from app.llm.scorers import open_scorer
from app.reward_settings import RewardSettings
from app.settings import ROLE_JUDGE, read_header_variable
from optimizer.concurrency import run_together
from optimizer.protocols import ChatModel
from optimizer.types import JsonObject, ModelRole
from rewards.catalog import MAX_GOOD, CriteriaCatalog
from rewards.cleaning import clean_line
from rewards.composite import CompositeScorer, CriterionWeights
from rewards.external import ExternalScorer
from rewards.judge import Judge
from rewards.label_judge import LabelJudge
from rewards.own_criteria import MAX_NEW_CRITERIA, OwnCriteriaSelector, OwnCriterion
from rewards.pairwise import ModelPairwiseJudge
from rewards.panel import JudgePanel
from rewards.reasons import JudgedReasons
from rewards.reordering import ReorderedJudge
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector
from rewards.types import (
    AnswerJudge,
    Criterion,
    CriterionOrigin,
    QuerySelector,
    RewardScorer,
    SelectionRecords,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringModels:
    """Who is asked for scores beyond the four roles.

    Attributes:
        judges: the judges whose scores are averaged, by name; empty for the role's own alone.
        scorer: the user's own service.
    """

    judges: Mapping[str, ChatModel] = field(default_factory=dict)
    scorer: ChatModel | None = None

    @classmethod
    async def open(
        cls,
        spec: RewardSpec | None,
        registry: ModelRegistry,
        run: RunContext,
        closing: AsyncExitStack,
    ) -> "ScoringModels":
        """Open what ``spec`` names; ``closing`` closes it.

        Raises:
            InvalidInputError: a judge is not configured any more, or the scorer not allowed.
            ModelError: a backend that had to be probed did not answer.
        """
        if spec is None:
            return cls()
        names = spec.judges
        judges = await run_together(
            registry.open_role(ModelRole.JUDGE, None, run, judge=None if name == ROLE_JUDGE else name)
            for name in names
        )
        scorer = None
        if spec.http is not None and run.replay is not None:
            scorer = run.replay.model(ModelRole.SCORER, scorer_name(spec.http.url))
        elif spec.http is not None:
            place = scorer_place(spec.http, registry.rewards)
            scorer = await closing.enter_async_context(open_scorer(place, run, registry.rewards))
        return cls(judges=dict(zip(names, judges, strict=True)), scorer=scorer)


def scorer_place(spec: HttpScorerSpec, settings: RewardSettings) -> ScorerPlace:
    """Where a job's scorer is, as the settings allow it.

    Raises:
        InvalidInputError: its host or one of its variables is not allowed, or a variable not set.
    """
    settings.check_url(spec.url)
    return ScorerPlace(
        url=spec.url,
        headers={name: read_header_variable(settings, value) for name, value in spec.headers.items()},
        timeout_seconds=spec.timeout_seconds,
        max_response_bytes=settings.http_max_response_bytes,
    )


def own_criterion(spec: CriterionSpec) -> OwnCriterion:
    """The criterion that ``spec`` describes."""
    criterion = Criterion(
        name=spec.name,
        good=clean_line(spec.description, limit=MAX_GOOD),
        scoring=clean_line(spec.description, limit=len(spec.description)),
        origin=CriterionOrigin.USER,
    )
    return OwnCriterion(criterion=criterion, always=spec.always, kinds=frozenset(spec.kinds))


async def build_scorer(
    spec: JobSpec,
    models: RunModels,
    more: ScoringModels,
    *,
    catalog: CriteriaCatalog,
    selections: SelectionRecords,
    otherwise: bool = False,
) -> RewardScorer:
    """How a job's answers are scored: by the dynamic reward alone, or by what its request says.

    With ``otherwise`` the judge is asked in another way (``rewards.reordering``).

    Raises:
        InvalidInputError: a check cannot be used.
    """
    config, rewards = spec.config, spec.rewards

    def make(criteria: CriteriaCatalog, max_new: int) -> QuerySelector:
        return Selector(
            models.selector,
            catalog=criteria,
            sampling=config.selector.to_sampling(),
            records=selections,
            max_new_criteria=max_new,
        )

    if rewards is None:
        judged = _judge(spec, models.judge, {}, otherwise=otherwise)
        return DynamicRewardScorer(make(catalog, MAX_NEW_CRITERIA), judged, seed=config.seed)
    own = [own_criterion(item) for item in rewards.criteria]
    chooser = OwnCriteriaSelector(
        own, catalog=catalog, keep_catalogue=rewards.catalogue, taken=other_names(rewards), make=make
    )
    return CompositeScorer(
        DynamicRewardScorer(
            chooser, _judge(spec, models.judge, more.judges, otherwise=otherwise), seed=config.seed
        ),
        weights=CriterionWeights(
            {**rewards.weights, **{item.name: item.weight for item in rewards.criteria}}
        ),
        checks=await asyncio.to_thread(lambda: [build_check(item) for item in rewards.checks]),
        external=_external(rewards, more),
        terms=_terms(rewards, more),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class GateScorers:
    """How the gate's answers are scored.

    Attributes:
        first: by the gate's own judge where there is one, else as in the search.
        second: by the same judge, asked otherwise.
        judges: the names of the models that judge.
        steered_the_search: whether they are those of the search.
    """

    first: RewardScorer
    second: RewardScorer
    judges: tuple[str, ...]
    steered_the_search: bool


async def build_gate_scorers(
    spec: JobSpec,
    models: RunModels,
    more: ScoringModels,
    scorer: RewardScorer,
    *,
    catalog: CriteriaCatalog,
    selections: SelectionRecords,
) -> GateScorers:
    """The scorers of the gate; ``scorer`` is the search's.

    Raises:
        InvalidInputError: a check cannot be used.
    """
    if models.gate_judge is not None:
        models = dataclasses.replace(models, judge=models.gate_judge)
        more = dataclasses.replace(more, judges={})
        scorer = await build_scorer(spec, models, more, catalog=catalog, selections=selections)
    second = await build_scorer(spec, models, more, catalog=catalog, selections=selections, otherwise=True)
    return GateScorers(
        first=scorer,
        second=second,
        judges=tuple(model.name for model in (more.judges or {"": models.judge}).values()),
        steered_the_search=models.gate_judge is None,
    )


def other_names(rewards: RewardSpec) -> list[str]:
    """The names of the scores that are no judged criteria."""
    names = [check.name for check in rewards.checks]
    return names if rewards.http is None else [*names, rewards.http.name]


def build_pairwise_judge(spec: JobSpec, judge: ChatModel, scorer: RewardScorer) -> ModelPairwiseJudge:
    """The judge of pairs of a job: the criteria are those that ``scorer`` scores on."""
    return ModelPairwiseJudge(judge, scorer.selection, sampling=spec.config.judge.to_sampling())


def build_reasons(
    spec: JobSpec, models: RunModels, more: ScoringModels, scorer: RewardScorer
) -> JudgedReasons | None:
    """Who says why, where the scores come without reasons: the first judge, asked for a text."""
    if not _reads_logprobs(spec):
        return None
    model = next(iter(more.judges.values()), models.judge)
    judge = Judge(model, sampling=spec.config.judge.to_sampling())
    return JudgedReasons(judge, scorer, seed=spec.config.seed)


def _reads_logprobs(spec: JobSpec) -> bool:
    return spec.rewards is not None and spec.rewards.judging is Judging.LOGPROBS


def _external(rewards: RewardSpec, more: ScoringModels) -> ExternalScorer | None:
    if rewards.http is None or more.scorer is None:
        return None
    return ExternalScorer(
        model=more.scorer,
        name=rewards.http.name,
        weight=rewards.http.weight,
        scale=rewards.http.scale,
    )


def _judge(
    spec: JobSpec, judge: ChatModel, panel: Mapping[str, ChatModel], *, otherwise: bool
) -> AnswerJudge:
    kind = LabelJudge if _reads_logprobs(spec) else Judge

    def make(model: ChatModel) -> AnswerJudge:
        made = kind(model, sampling=spec.config.judge.to_sampling())
        return ReorderedJudge(made) if otherwise else made

    return JudgePanel({name: make(model) for name, model in panel.items()}) if panel else make(judge)


def _terms(rewards: RewardSpec, more: ScoringModels) -> JsonObject:
    """What provenance says of the rewards beside models and template versions."""
    terms: JsonObject = {"rewards_version": rewards.version}
    if more.judges:
        terms["judges"] = {name: model.name for name, model in more.judges.items()}
    if more.scorer is not None:
        terms["scorer"] = more.scorer.name
    return terms
