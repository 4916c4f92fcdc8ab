"""What makes a job, and what is refused before anything runs."""

from typing import Any

import pytest

from app.datasets.builtin_sets import builtin_examples, builtin_queries
from app.jobs.spec import JobSpec
from app.optimizations.schemas import DEFAULT_SEED_PROMPT
from optimizer.config import PRESETS
from store.records.prompts import LabelMoveDraft, PromptVersionDraft
from tests.app.jobs.service import SMALL, JobService, failure, job


async def spec_of(service: JobService, **changes: Any) -> JobSpec:
    """What is stored about a job that is asked for with ``changes``."""
    record = await service.resources.optimizations.get(await service.start(**changes))
    return JobSpec.from_json(record.spec)


async def test_a_job_is_accepted_and_shown_as_it_will_run(idle: JobService) -> None:
    response = await idle.post(
        "/v1/optimizations", job(name="first", seed_prompt="Be brief.", budget={"calls": 500})
    )

    assert response.status_code == 202
    shown = response.json()
    assert shown["object"] == "optimization"
    assert shown["id"].startswith("opt_")
    assert (shown["name"], shown["status"], shown["target"]) == ("first", "queued", SMALL)
    assert (shown["seed_prompt"], shown["label"], shown["preset"]) == ("Be brief.", "production", "paper")
    assert shown["settings"]["depth"] == 3
    assert shown["budget"] == {"calls": 500, "tokens": None, "cost": None, "seconds": None}
    assert shown["progress"] == {
        "phase": "queued",
        "round": None,
        "rounds_left": None,
        "evaluations": 0,
        "unscored": 0,
        "calls": 0,
        "calls_expected": 3 + 6 + 11 + 40,
        "seconds_left": None,
    }
    assert (shown["started_at"], shown["finished_at"], shown["error"], shown["best"]) == (None,) * 4
    assert shown["usage"]["calls"] == 0
    assert shown["estimate"] == {
        "calls_left": 3 + 6 + 11 + 40,
        "calls_left_max": 3 + 6 + 11 + 40,
    }
    assert await idle.get(f"/v1/optimizations/{shown['id']}") == shown


@pytest.mark.parametrize("preset", ["default", "paper", "mini"])
async def test_a_preset_alone_is_enough(idle: JobService, preset: str) -> None:
    response = await idle.post("/v1/optimizations", {"target": SMALL, "preset": preset})
    assert response.status_code == 202
    assert response.json()["settings"] == PRESETS[preset].model_dump(mode="json")


async def test_the_preset_is_the_racing_search_where_none_is_named(idle: JobService) -> None:
    response = await idle.post("/v1/optimizations", {"target": SMALL})
    assert response.json()["preset"] == "default"


async def test_a_setting_of_the_beam_search_is_refused_where_it_would_do_nothing(idle: JobService) -> None:
    response = await idle.post("/v1/optimizations", {"target": SMALL, "settings": {"beam_width": 4}})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "settings.beam_width"
    assert "preset paper" in response.json()["error"]["message"]


async def test_settings_are_merged_into_the_preset_field_by_field(idle: JobService) -> None:
    spec = await spec_of(idle, settings={"beam_width": 1, "judge": {"max_tokens": 99}})
    assert spec.config.judge.max_tokens == 99
    assert spec.config.judge.temperature == 0
    assert spec.config.proposer == PRESETS["paper"].proposer
    assert spec.config.path_aggregation == "last"


async def test_the_seed_prompt_is_a_plain_one_before_there_is_a_labelled_one(idle: JobService) -> None:
    spec = await spec_of(idle)
    assert (spec.seed_prompt, spec.incumbent_version_id) == (DEFAULT_SEED_PROMPT, None)


async def test_the_labelled_prompt_is_the_seed_prompt_and_the_one_to_beat(idle: JobService) -> None:
    version = await add_labelled(idle, "Be exact.", "production")
    staging = await add_labelled(idle, "Be terse.", "staging")

    default, other, own, none = [
        await spec_of(idle, **changes)
        for changes in ({}, {"label": "staging"}, {"seed_prompt": ""}, {"label": None})
    ]

    assert (default.seed_prompt, default.incumbent_version_id) == ("Be exact.", version)
    assert (other.seed_prompt, other.incumbent_version_id) == ("Be terse.", staging)
    assert (own.seed_prompt, own.incumbent_version_id) == ("", version)
    assert (none.label, none.seed_prompt, none.incumbent_version_id) == (None, "Be exact.", version)


async def add_labelled(service: JobService, system_prompt: str, label: str) -> str:
    """Store a version and point ``label`` to it; its id."""
    prompts = service.resources.prompts
    version = await prompts.add_version(
        PromptVersionDraft(model=SMALL, system_prompt=system_prompt, sampling={})
    )
    await prompts.move_label(
        LabelMoveDraft(model=SMALL, label=label, version_id=version.id, actor="test", reason="test")
    )
    return version.id


async def test_the_builtin_queries_and_examples_are_stored_with_the_job(idle: JobService) -> None:
    spec = await spec_of(idle)
    stored = await idle.resources.datasets.queries(spec.dataset_id)
    assert [(item.id, item.text, item.kind) for item in stored] == [
        (item.id, item.text, item.kind) for item in builtin_queries()
    ]
    assert spec.example_bank_id is not None
    bank = await idle.resources.prompts.example_bank(spec.example_bank_id)
    assert [item["id"] for item in bank] == [item.id for item in builtin_examples()]
    assert (await spec_of(idle)).dataset_id == spec.dataset_id


async def test_queries_can_be_given_inline(idle: JobService) -> None:
    queries = ["How?", {"text": " Why? ", "kind": "odd", "id": "w"}, "How?"]
    spec = await spec_of(idle, queries=queries, held_out=0)
    stored = await idle.resources.datasets.queries(spec.dataset_id)
    assert [(item.text, item.kind) for item in stored] == [("How?", None), ("Why?", "odd")]
    assert stored[1].id == "w"


async def test_queries_that_examples_show_stay_with_the_search(idle: JobService) -> None:
    """Two queries and one of them held out leave one to search on, which is too few."""
    queries = ["Why?", "How?"]
    settings = {"depth": 2}
    refused = await idle.post("/v1/optimizations", job(queries=queries, held_out=1, settings=settings))
    assert failure(refused)["param"] == "queries"
    examples = [{"query": query, "answer": "So."} for query in ("why?", "HOW?")]
    await spec_of(idle, queries=queries, held_out=1, settings=settings, examples=examples)


async def test_queries_can_be_an_uploaded_dataset(idle: JobService) -> None:
    content = b"\n".join(b'"query %d"' % number for number in range(12))
    dataset = (await idle.client.post("/v1/datasets", files={"file": ("mine.jsonl", content)})).json()
    spec = await spec_of(idle, queries={"dataset": dataset["id"]}, held_out=4)
    assert (spec.dataset_id, spec.held_out) == (dataset["id"], 4)
    assert (spec.search_queries, spec.held_out_queries) == (3, 4)


async def test_a_job_knows_how_many_queries_it_really_has(idle: JobService) -> None:
    spec = await spec_of(idle, queries=["How?", "Why?", "why?", "What?", "When?"], held_out=30)
    assert (spec.held_out, spec.search_queries, spec.held_out_queries) == (30, 2, 2)
    shown = (await idle.get("/v1/optimizations"))["data"][0]
    assert shown["estimate"]["calls_left"] == 3 + 6 + 5 * 2


async def test_examples_can_be_the_callers_or_none(idle: JobService) -> None:
    own = await spec_of(idle, examples=[{"query": " Why? ", "answer": "So.", "kind": "odd"}])
    assert own.example_bank_id is not None
    assert await idle.resources.prompts.example_bank(own.example_bank_id) == (
        {"id": "ex-001", "query": "Why?", "answer": "So.", "kind": "odd"},
    )
    assert (await spec_of(idle, examples=[])).example_bank_id is None


@pytest.mark.parametrize(
    ("changes", "param", "said"),
    [
        ({"target": "nobody"}, "target", "use one of simulated-small, simulated-chat, simulated-base"),
        ({"preset": "huge"}, "preset", "'paper' or 'mini'"),
        ({"settings": {"depth": 1}}, "settings.depth", "greater than or equal to 2"),
        ({"settings": {"depth": 10**30}}, "settings.depth", "less than or equal to 1000"),
        ({"settings": {"judge": {"temperature": 9}}}, "settings.judge.temperature", "less than"),
        ({"settings": {"widht": 1}}, "settings.widht", "not permitted"),
        ({"settings": {"judge": 5}}, "settings.judge", "valid dictionary"),
        ({"settings": {"judge": {"stop": "x"}}}, "settings.judge.stop", "tuple"),
        ({"queries": []}, "queries", "at least 1 item"),
        ({"queries": 5}, "queries", "JSON object is needed"),
        ({"queries": ["a", " "]}, "queries.1", "at least 1 character"),
        ({"queries": ["a", {"text": "b", "foo": 1}]}, "queries.1.foo", "no such field"),
        ({"queries": ["a"]}, "queries", "give more queries"),
        ({"queries": [{"id": "q", "text": "a"}, {"id": "q", "text": "b"}]}, "queries", "id 'q'"),
        ({"queries": {"dataset": "ds_none"}}, "queries.dataset", "there is no dataset ds_none"),
        ({"queries": {"dataset": "builtin", "first": 5}}, "queries.first", "no such field"),
        ({"budget": {"calls": 8}}, "budget.calls", "judging the seed prompt and one round take 9"),
        ({"budget": {"calls": 0}}, "budget.calls", "greater than or equal to 1"),
        ({"budget": {"calls": 10**12 + 1}}, "budget.calls", "less than or equal to"),
        ({"budget": {"tokens": 2**63}}, "budget.tokens", "less than or equal to"),
        ({"settings": {"judge": {"max_tokens": 2**63}}}, "settings.judge.max_tokens", "less than or equal"),
        ({"budget": {"money": 1}}, "budget.money", "no such field"),
        ({"budget": {"cost": 1}}, "budget.cost", "set backends.<name>.price"),
        ({"examples": [{"query": "", "answer": "x"}]}, "examples.0.query", "at least 1 character"),
        ({"seed_prompt": "x" * 20_001}, "seed_prompt", "at most 20000"),
        ({"label": "Two words"}, "label", "match pattern"),
        ({"held_out": -1}, "held_out", "greater than or equal to 0"),
        ({"modle": "x"}, "modle", "no such field"),
    ],
)
async def test_what_cannot_work_is_a_400_that_names_the_field(
    idle: JobService, changes: dict[str, Any], param: str, said: str
) -> None:
    error = failure(await idle.post("/v1/optimizations", job(**changes)))
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert said in error["message"]
    assert (await idle.get("/v1/optimizations"))["data"] == []


async def test_settings_have_to_be_an_object(idle: JobService) -> None:
    body = {"target": SMALL, "settings": 5}
    assert failure(await idle.post("/v1/optimizations", body))["param"] == "settings"


@pytest.mark.parametrize("field", ["cost", "seconds"])
async def test_an_endless_budget_is_refused(idle: JobService, field: str) -> None:
    body = f'{{"target": "{SMALL}", "budget": {{"{field}": 1e999}}}}'
    response = await idle.client.post(
        "/v1/optimizations", content=body, headers={"content-type": "application/json"}
    )
    assert failure(response)["param"] == f"budget.{field}"


async def test_queries_that_differ_in_case_and_space_alone_count_once(idle: JobService) -> None:
    refused = await idle.post("/v1/optimizations", job(queries=["Why?", "why?", " WHY? "], held_out=0))
    assert "1 different queries are left" in failure(refused)["message"]


async def test_held_out_queries_are_taken_from_what_the_search_could_use(idle: JobService) -> None:
    queries = [f"query {number}" for number in range(5)]
    settings = {"minibatch_size": 2}
    refused = await idle.post("/v1/optimizations", job(queries=queries, held_out=2, settings=settings))
    assert "3 different queries are left" in failure(refused)["message"]
    assert (await spec_of(idle, queries=queries, held_out=1, settings=settings)).held_out == 1
