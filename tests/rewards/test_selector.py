"""Choosing the criteria for a query."""

import asyncio
import json

import pytest
from typing_extensions import override

from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    DrpoError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.types import JsonObject, Query
from rewards.catalog import CriteriaCatalog
from rewards.selector import Selector
from rewards.types import FOR_EXAMPLES, Selection, SelectionKey, SelectionSource
from tests.fakes.chat_model import ScriptedModel
from tests.rewards.builders import (
    CATALOG,
    GREEDY,
    QUERY,
    DictRecords,
    listed,
    names,
    own,
    selector_of,
    selector_reply,
)


async def test_the_selection_says_what_was_chosen_why_and_by_whom() -> None:
    model = ScriptedModel(
        [selector_reply("Safety", "Depth", reasoning="It is about knives.")], name="b/critic"
    )
    selector = selector_of(model)
    assert await selector.select(QUERY, seed=3) == Selection(
        criteria=(listed("Safety"), listed("Depth")),
        rationale="It is about knives.",
        source=SelectionSource.SELECTED,
        selector_model="b/critic",
        template_version=selector.template_version,
    )


async def test_the_request_carries_seed_sampling_and_schema() -> None:
    model = ScriptedModel([selector_reply("Safety", "Depth")])
    await selector_of(model).select(QUERY, seed=3)
    (request,) = model.requests
    assert (request.seed, request.sampling, request.n) == (3, GREEDY, 1)
    assert request.output is not None
    assert request.output.name == "criterion_selection"
    json.dumps(request.output.schema)


async def test_an_own_criterion_with_a_description_is_taken_in() -> None:
    reply = json.dumps({"criteria": [{"name": "Egg Lore", "description": "It knows eggs."}, "Depth"]})
    chosen = await selector_of(ScriptedModel([reply])).select(QUERY, seed=0)
    assert chosen.criteria == (own("Egg Lore", "It knows eggs."), listed("Depth"))


async def test_own_criteria_can_be_ruled_out() -> None:
    reply = json.dumps(
        {"criteria": [{"name": "Egg Lore", "description": "It knows eggs."}, "Depth", "Safety"]}
    )
    model = ScriptedModel([reply])
    chosen = await selector_of(model, max_new_criteria=0).select(QUERY, seed=0)
    assert names(chosen.criteria) == ["Depth", "Safety"]


@pytest.mark.parametrize(
    ("chosen", "completed"),
    [("Depth", ["Depth", "Helpfulness"]), ("Helpfulness", ["Helpfulness", "Clarity"])],
)
async def test_a_single_criterion_is_completed_from_the_fallback_set(
    chosen: str, completed: list[str]
) -> None:
    selection = await selector_of(ScriptedModel([selector_reply(chosen)])).select(QUERY, seed=0)
    assert names(selection.criteria) == completed
    assert selection.source is SelectionSource.SELECTED


async def test_an_example_is_judged_by_three_to_six_criteria() -> None:
    many = ("Safety", "Depth", "Clarity", "Empathy", "Creativity", "Engagement", "Conciseness")
    model = ScriptedModel([selector_reply(*many), selector_reply("Safety")])
    selector = Selector(model, catalog=CATALOG, sampling=GREEDY, count=FOR_EXAMPLES)
    chosen = await selector.select(QUERY, seed=0)
    assert names(chosen.criteria) == list(many[:6])
    assert len((await selector.select(Query(id="other", text="Else?"), seed=0)).criteria) == 3
    assert "between three and six criteria" in str(model.requests[0].prompt[0])
    assert selector.template_version != selector_of(model).template_version


async def test_an_unreadable_reply_is_repaired_once() -> None:
    model = ScriptedModel(["Let me think.", selector_reply("Safety", "Depth")])
    selection = await selector_of(model).select(QUERY, seed=0)
    assert names(selection.criteria) == ["Safety", "Depth"]
    assert selection.source is SelectionSource.SELECTED
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    "replies",
    [
        ("no JSON", "nor here"),
        ('{"criteria": []}', '{"criteria": ["Charm"]}'),
        ("no JSON", RequestRefusedError("too long", backend="b", status=400)),
        (RequestRefusedError("content filter", backend="b", status=400),),
    ],
)
async def test_an_unreadable_or_refused_selection_is_the_fallback_and_is_not_remembered(
    replies: tuple[str | Exception, ...],
) -> None:
    records = DictRecords()
    model = ScriptedModel([*replies, selector_reply("Safety", "Depth")])
    selector = selector_of(model, records=records)
    selection = await selector.select(QUERY, seed=0)
    assert selection.source is SelectionSource.FALLBACK
    assert selection.criteria == tuple(CATALOG.fallback)
    assert selection.rationale == "These criteria fit any query; no choice was made for this one."
    assert records.kept == {}
    assert (await selector.select(QUERY, seed=0)).source is SelectionSource.SELECTED


@pytest.mark.parametrize(
    "error",
    [
        BackendUnavailableError("gone", backend="b"),
        MisconfiguredError("wrong key", backend="b", status=401),
        BudgetExceededError("calls"),
    ],
)
async def test_a_failed_call_is_raised_and_not_remembered(error: DrpoError) -> None:
    records = DictRecords()
    selector = selector_of(ScriptedModel([error, selector_reply("Safety", "Depth")]), records=records)
    with pytest.raises(type(error)):
        await selector.select(QUERY, seed=0)
    assert records.kept == {}
    assert names((await selector.select(QUERY, seed=0)).criteria) == ["Safety", "Depth"]


async def test_a_query_is_asked_about_once_whatever_its_id() -> None:
    model = ScriptedModel([selector_reply("Safety", "Depth"), selector_reply("Clarity", "Depth")])
    selector = selector_of(model)
    first = await selector.select(QUERY, seed=0)
    assert await selector.select(Query(id="q2", text=QUERY.text), seed=1) == first
    assert await selector.select(Query(id="q1", text="Another?"), seed=0) != first
    assert len(model.requests) == 2


async def test_another_selector_finds_the_selection_in_the_records() -> None:
    records = DictRecords()
    selection = await selector_of(ScriptedModel([selector_reply("Safety", "Depth")]), records=records).select(
        QUERY, seed=0
    )
    silent = ScriptedModel()
    selector = selector_of(silent, records=records)
    assert await selector.select(QUERY, seed=0) == selection
    records.kept.clear()
    assert await selector.select(QUERY, seed=0) == selection
    assert silent.requests == []


class FirstStays(DictRecords):
    """Keeps the first selection under each key, a fallback too, as another run has put it meanwhile."""

    @override
    async def put(self, key: SelectionKey, value: JsonObject, source: SelectionSource) -> JsonObject:
        kept: JsonObject = json.loads(self.kept.setdefault(key, json.dumps(value)))
        return kept


async def test_of_two_selections_at_once_both_use_the_one_that_is_kept() -> None:
    records, gate = FirstStays(), asyncio.Event()
    slow = ScriptedModel([selector_reply("Clarity", "Depth")], gate=gate)
    later = selector_of(slow, records=records)
    asking = asyncio.create_task(later.select(QUERY, seed=0))
    await slow.wait_for_calls(1)
    first = await selector_of(ScriptedModel([selector_reply("Safety", "Depth")]), records=records).select(
        QUERY, seed=0
    )
    gate.set()
    assert await asking == first
    assert await later.select(QUERY, seed=0) == first


async def test_a_fallback_that_the_records_keep_is_used_again() -> None:
    records = FirstStays()
    fallback = await selector_of(ScriptedModel(["no JSON", "nor here"]), records=records).select(
        QUERY, seed=0
    )
    silent = ScriptedModel()
    again = await selector_of(silent, records=records).select(QUERY, seed=0)
    assert again == fallback
    assert again.source is SelectionSource.FALLBACK
    assert silent.requests == []


async def test_a_kept_selection_that_cannot_be_read_does_not_replace_the_choice() -> None:
    records = FirstStays()
    selector = selector_of(ScriptedModel([selector_reply("Safety", "Depth")]), records=records)
    records.kept[selector._key(QUERY)] = '{"criteria": "of an older form"}'
    assert names((await selector.select(QUERY, seed=0)).criteria) == ["Safety", "Depth"]


async def test_a_record_that_cannot_be_read_is_asked_for_again_and_replaced() -> None:
    records = DictRecords()
    await selector_of(ScriptedModel([selector_reply("Safety", "Depth")]), records=records).select(
        QUERY, seed=0
    )
    (key,) = records.kept
    good = records.kept[key]
    records.kept[key] = '{"criteria": "of an older form"}'
    await selector_of(ScriptedModel([selector_reply("Safety", "Depth")]), records=records).select(
        QUERY, seed=0
    )
    assert records.kept == {key: good}


async def test_model_catalogue_and_allowed_new_ones_each_have_their_own_records() -> None:
    records = DictRecords()
    other_catalog = CriteriaCatalog.parse(
        "{fallback: [A, B], criteria: [{name: A, good: g, scoring: s}, {name: B, good: g, scoring: s}]}"
    )
    first = selector_of(ScriptedModel([selector_reply("Safety", "Depth")]), records=records)
    others = [
        selector_of(ScriptedModel([selector_reply("Depth", "Clarity")], name="other/model"), records=records),
        selector_of(ScriptedModel([selector_reply("Depth", "Clarity")]), records=records, max_new_criteria=0),
        Selector(
            ScriptedModel([selector_reply("A", "B")]), catalog=other_catalog, sampling=GREEDY, records=records
        ),
    ]
    selection = await first.select(QUERY, seed=0)
    for other in others:
        assert await other.select(QUERY, seed=0) != selection
    assert len(records.kept) == 4


async def test_concurrent_askers_share_one_call() -> None:
    model = ScriptedModel([selector_reply("Safety", "Depth")], gate=asyncio.Event())
    selector = selector_of(model)
    askers = [asyncio.create_task(selector.select(QUERY, seed=0)) for _ in range(5)]
    await model.wait_for_calls(1)
    askers[0].cancel()
    assert model.gate is not None
    model.gate.set()
    selections = await asyncio.wait_for(asyncio.gather(*askers, return_exceptions=True), 5)
    assert isinstance(selections[0], asyncio.CancelledError)
    assert all(isinstance(selection, Selection) for selection in selections[1:])
    assert (len(model.requests), model.cancelled) == (1, 0)


async def test_when_all_askers_are_cancelled_so_is_the_call() -> None:
    model = ScriptedModel([selector_reply("Safety", "Depth")], gate=asyncio.Event())
    selector = selector_of(model)
    before = asyncio.all_tasks()
    askers = [asyncio.create_task(selector.select(QUERY, seed=0)) for _ in range(2)]
    await model.wait_for_calls(1)
    for asker in askers:
        asker.cancel()
    await asyncio.wait(askers)
    assert (model.cancelled, model.in_flight) == (1, 0)
    assert asyncio.all_tasks() == before


async def test_a_query_with_a_lone_surrogate_has_criteria_too() -> None:
    selection = await selector_of(ScriptedModel([selector_reply("Safety", "Depth")])).select(
        Query(id="q", text="\ud800?"), seed=0
    )
    assert names(selection.criteria) == ["Safety", "Depth"]
