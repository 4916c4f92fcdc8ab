"""From a request to a job's row."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import ValidationError

from app.datasets.builtin_sets import builtin_examples, builtin_queries
from app.datasets.parsing import distinct_queries
from app.jobs.banks.inputs import BankReference
from app.jobs.banks.lookup import find_bank
from app.jobs.reserve import kept_for_gate
from app.jobs.reward_spec import RewardSpec
from app.jobs.spec import BudgetSpec, JobSpec, most_finalists
from app.optimizations.embedding_work import embedding_work
from app.optimizations.forecast_schemas import Forecast
from app.optimizations.forecasts import JobTexts, forecast
from app.optimizations.rewards import check_rewards
from app.optimizations.schemas import (
    BUILTIN_DATASET,
    DEFAULT_SEED_PROMPT,
    CreateOptimization,
    DatasetReference,
)
from app.resources import Resources
from app.retrieval import RetrievalSpec
from app.serving_settings import TargetSettings
from app.settings import ROLE_JUDGE
from app.stored_examples import example_from_json, example_to_json
from optimizer.config import BEAM_SETTINGS, PRESETS, SearchConfig
from optimizer.errors import InvalidInputError
from optimizer.estimate import USUAL_RATES, GateSize
from optimizer.plan import least_calls
from optimizer.rendering import ExamplePlace
from optimizer.splitting import QuerySplit, split_queries
from optimizer.types import Example, JsonObject, ModelRole, Query
from store.errors import NotFoundError
from store.records.datasets import QueryRecord
from store.records.prompts import PromptVersionRecord

DEFAULT_LABEL = "production"
_INLINE_NAME = "inline"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    """A job whose queries and examples are stored nowhere yet.

    Attributes:
        spec: the job; its dataset has no id where the queries are not stored.
        dataset_name: what to call the queries then.
        asked: the texts of those queries that the search and the gate have.
    """

    spec: JobSpec
    queries: tuple[Query, ...]
    dataset_name: str
    examples: tuple[JsonObject, ...]
    asked: tuple[str, ...]


def stored_request(stored: JsonObject) -> CreateOptimization:
    """A request that was checked and stored earlier; what a newer version has added to it is passed over.

    Raises:
        ValidationError: it cannot be read, since it holds a value that this version does not know.
    """
    request = CreateOptimization.model_validate(stored, extra="ignore")
    base: JsonObject = PRESETS[request.preset].model_dump(mode="json")
    known: JsonObject = {}
    for name, value in request.settings.items():
        group = base.get(name)
        if isinstance(group, dict) and isinstance(value, dict):
            known[name] = {key: item for key, item in value.items() if key in group}
        elif name in base:
            known[name] = value
    return request.model_copy(update={"settings": known})


async def build_spec(request: CreateOptimization, resources: Resources) -> JobSpec:
    """Everything that the job depends on, stored where it has to be, with what it will take.

    Raises:
        InvalidInputError: something in the request cannot work; the message says what to change.
    """
    plan = await _plan(request, resources)
    dataset_id = plan.spec.dataset_id or await _store_queries(plan, resources)
    bank_id = await resources.prompts.add_example_bank(plan.examples)
    expected = await _forecast(plan, request.target, resources)
    return plan.spec.model_copy(
        update={
            "dataset_id": dataset_id,
            "example_bank_id": bank_id,
            "forecast": expected.model_dump(mode="json"),
        }
    )


async def estimate_job(request: CreateOptimization, resources: Resources) -> Forecast:
    """What the job would take; everything is checked as for a job, and nothing is stored.

    Raises:
        InvalidInputError: something in the request cannot work; the message says what to change.
    """
    return await _forecast(await _plan(request, resources), request.target, resources)


async def _forecast(plan: _Plan, target: str, resources: Resources) -> Forecast:
    examples = [len(str(item["query"])) + len(str(item["answer"])) for item in plan.examples]
    characters = len(plan.spec.seed_prompt) + fmean(len(query.text) for query in plan.queries)
    if examples:
        characters += plan.spec.config.k * fmean(examples)
    bank = [str(item["query"]) for item in plan.examples]
    embedding = await embedding_work(plan.spec, bank, plan.asked, resources)
    texts = JobTexts(characters=characters, embedding=embedding)
    return await forecast(plan.spec, target, texts, resources)


async def _plan(request: CreateOptimization, resources: Resources) -> _Plan:
    target = _target(request.target, resources)
    config = merged_config(request.preset, request.settings)
    _check_budget(request, config)
    dataset_id, dataset_name, queries = await _queries(request, resources)
    if request.rewards is not None:
        await check_rewards(request.rewards, resources, queries)
    if request.budget.cost is not None:
        check_prices(request.target, request.rewards, resources)
    examples = [example_to_json(example) for example in await _examples(request, resources)]
    incumbent = await resources.prompts.labelled(request.target, request.label or DEFAULT_LABEL)
    served = await _served_examples(resources, incumbent)
    split = await _split(request, config, queries, [*examples, *served])
    seed_prompt = _seed_prompt(request, incumbent)
    retrieval = RetrievalSpec.from_settings(resources.settings.retrieval)
    spec = JobSpec(
        name=request.name,
        preset=request.preset,
        config=config,
        seed_prompt=seed_prompt,
        dataset_id=dataset_id,
        example_bank_id=None,
        retrieval=retrieval,
        held_out=request.held_out,
        search_queries=len(split.search),
        held_out_queries=len(split.held_out),
        budget=BudgetSpec.model_validate(request.budget.model_dump()),
        label=request.label,
        incumbent_version_id=None if incumbent is None else incumbent.id,
        target_api=target.api,
        example_place=ExamplePlace(target.alignment.examples),
        rewards=request.rewards,
        gate=request.gate,
        gate_judge=resources.models.has_gate_judge,
        seed_is_incumbent=incumbent is None
        or (seed_prompt, config.k, retrieval, examples)
        == (
            incumbent.system_prompt,
            incumbent.k,
            RetrievalSpec.from_version(incumbent.retrieval),
            served,
        ),
    )
    return _Plan(
        spec=spec,
        queries=queries,
        dataset_name=dataset_name,
        examples=tuple(examples),
        asked=tuple(query.text for query in (*split.search, *split.held_out)),
    )


def _seed_prompt(request: CreateOptimization, incumbent: PromptVersionRecord | None) -> str:
    if request.seed_prompt is not None:
        return request.seed_prompt
    return DEFAULT_SEED_PROMPT if incumbent is None else incumbent.system_prompt


async def _split(
    request: CreateOptimization,
    config: SearchConfig,
    queries: Sequence[Query],
    shown: Sequence[JsonObject],
) -> QuerySplit:
    """The queries parted; none is held out that one of the examples ``shown`` with a contender asks."""
    split = await asyncio.to_thread(
        split_queries,
        queries,
        search=config.queries_needed,
        held_out=request.held_out,
        seed=config.seed,
        shown=[example_from_json(example).query for example in shown],
    )
    least = 2 if config.racing else 2 * config.minibatch_size
    if len(split.search) < least:
        raise InvalidInputError(
            f"{len(split.search)} different queries are left for the search; the seed prompt and one round "
            f"take {least}: give more queries, or lower held_out or settings.minibatch_size",
            param="queries",
        )
    return split


def merged_config(preset: str, settings: JsonObject) -> SearchConfig:
    """The preset with ``settings`` on top; groups such as ``judge`` are merged field by field.

    Raises:
        InvalidInputError: a setting is unknown or out of range.
    """
    base: JsonObject = PRESETS[preset].model_dump(mode="json", exclude={"path_aggregation"})
    misplaced = [name for name in settings if name in BEAM_SETTINGS] if base["racing"] else []
    if misplaced:
        raise InvalidInputError(
            f"settings.{misplaced[0]} belongs to the beam search: leave it out, or take preset paper or mini",
            param=f"settings.{misplaced[0]}",
        )
    for name, value in settings.items():
        group = base.get(name)
        if isinstance(group, dict) and isinstance(value, dict):
            base[name] = {**group, **value}
        else:
            base[name] = value
    try:
        return SearchConfig.model_validate(base)
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(["settings", *(str(part) for part in first["loc"])])
        raise InvalidInputError(f"{param}: {first['msg']}", param=param) from error


def _target(name: str, resources: Resources) -> TargetSettings:
    try:
        return resources.models.target(name)
    except InvalidInputError as error:
        raise InvalidInputError(str(error), param="target") from error


def _check_budget(request: CreateOptimization, config: SearchConfig) -> None:
    calls = request.budget.calls
    if calls is None:
        return
    rates = USUAL_RATES if request.rewards is None else request.rewards.rates(config)
    least = least_calls(config, rates=rates)
    size = GateSize(
        queries=request.held_out,
        finalists=most_finalists(request.gate, config),
        with_seed_prompt=request.seed_prompt is not None,
        judged_again=request.gate.judged_again,
    )
    kept = kept_for_gate(calls, size, rates=rates)
    if calls - kept < least:
        raise InvalidInputError(
            f"budget.calls is {calls}, of which {kept} are kept for the held-out comparison; judging the "
            f"seed prompt and one round take {least}: give more calls, or lower held_out",
            param="budget.calls",
        )


def check_prices(target: str, rewards: RewardSpec | None, resources: Resources) -> None:
    """A budget of money holds only where something costs money: it would let a job without prices run on.

    Raises:
        InvalidInputError: no backend of a job on ``target`` with ``rewards`` has a price.
    """
    roles = (ModelRole.TARGET, ModelRole.PROPOSER, ModelRole.SELECTOR, ModelRole.JUDGE)
    models = resources.models
    judges = [] if rewards is None else [name for name in rewards.judges if name != ROLE_JUDGE]
    prices = [models.price(role, target) for role in roles]
    prices += [models.price(ModelRole.JUDGE, judge=name) for name in judges]
    if not any(price.input_per_million or price.output_per_million for price in prices):
        raise InvalidInputError(
            "budget.cost bounds nothing: no backend of this job has a price; set backends.<name>.price, or "
            "give a budget of calls, tokens or seconds",
            param="budget.cost",
        )


async def _queries(request: CreateOptimization, resources: Resources) -> tuple[str, str, tuple[Query, ...]]:
    """The dataset's id, empty where it has to be stored first, its name, and its queries."""
    source = request.queries
    if isinstance(source, DatasetReference) and source.dataset != BUILTIN_DATASET:
        try:
            await resources.datasets.get(source.dataset)
        except NotFoundError as error:
            raise InvalidInputError(str(error), param="queries.dataset") from error
        records = await resources.datasets.queries(source.dataset)
        queries = tuple(Query(id=item.id, text=item.text, kind=item.kind) for item in records)
        return source.dataset, "", queries
    if isinstance(source, DatasetReference):
        return "", BUILTIN_DATASET, builtin_queries()
    return "", _INLINE_NAME, distinct_queries(source, param="queries")


async def _store_queries(plan: _Plan, resources: Resources) -> str:
    """Inline and built-in queries are stored, so that they stay."""
    records = [QueryRecord(id=query.id, text=query.text, kind=query.kind) for query in plan.queries]
    return (await resources.datasets.add(plan.dataset_name, records)).id


async def _served_examples(resources: Resources, incumbent: PromptVersionRecord | None) -> list[JsonObject]:
    """The examples that the incumbent is served with."""
    if incumbent is None or incumbent.example_bank_id is None:
        return []
    return list(await resources.prompts.example_bank(incumbent.example_bank_id))


async def _examples(request: CreateOptimization, resources: Resources) -> tuple[Example, ...]:
    given = request.examples
    if isinstance(given, BankReference):
        return await find_bank(given.bank, resources.optimizations, resources.prompts)
    if given is None:
        return builtin_examples()
    return tuple(
        Example(id=f"ex-{number:03d}", query=item.query, answer=item.answer, kind=item.kind)
        for number, item in enumerate(given, start=1)
    )
