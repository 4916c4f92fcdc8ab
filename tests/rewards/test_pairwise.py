"""Comparing two answers in both orders."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.preferences import Comparison, Preference, Uncompared
from optimizer.seeds import derive_seed
from optimizer.types import Completion, CompletionRequest, Message, Query
from rewards.pairwise import ModelPairwiseJudge
from rewards.types import Selection
from tests.fakes.chat_model import Reply, ScriptedModel
from tests.rewards.builders import GREEDY, QUERY, listed, own, selection

EGG = Completion(text="Seven minutes.")
SOUP = Completion(text="Boil it, then peel it under cold water.")


async def fixed(_: Query) -> Selection:
    return selection(listed("Depth"), own("Egg Lore", "It knows eggs."), rationale="Eggs\nare hot.")


def said(better: object, differences: object = "A is short.") -> str:
    return json.dumps({"differences": differences, "better": better})


def prompt_of(request: CompletionRequest) -> tuple[Message, ...]:
    assert not isinstance(request.prompt, str)
    return request.prompt


def orders(straight: Reply, swapped: Reply) -> ScriptedModel:
    """A model that answers by what it is shown as A; a repair request gets the same reply again."""

    def reply(request: CompletionRequest) -> Reply:
        return straight if f"## Answer A\n| {EGG.text}" in prompt_of(request)[1].text else swapped

    return ScriptedModel(reply)


async def compared(model: ScriptedModel, first: Completion = EGG, second: Completion = SOUP) -> Comparison:
    return await ModelPairwiseJudge(model, fixed, sampling=GREEDY).compare(QUERY, first, second, seed=5)


@pytest.mark.parametrize(
    ("straight", "swapped", "value", "consistent"),
    [
        ("B", "A", 1.0, True),
        ("A", "B", -1.0, True),
        ("tie", "tie", 0.0, True),
        ("A", "A", 0.0, False),
        ("B", "B", 0.0, False),
        ("B", "tie", 0.5, False),
        ("tie", "B", -0.5, False),
    ],
)
async def test_both_orders_decide_together(
    straight: str, swapped: str, value: float, *, consistent: bool
) -> None:
    found = await compared(orders(said(straight), said(swapped)))
    assert isinstance(found, Preference)
    assert (found.value, found.consistent) == (value, consistent)


async def test_the_reasons_of_both_orders_are_kept() -> None:
    found = await compared(orders(said("B", "B peels."), said("A", "A peels\x00.")))
    assert isinstance(found, Preference)
    assert found.rationale == "B peels.\nThe other way round: A peels."


async def test_equal_answers_need_no_call() -> None:
    assert await compared(
        ScriptedModel(), EGG, Completion(text=EGG.text, finish_reason="length")
    ) == Preference(value=0.0, rationale="The answers are the same.")


async def test_one_readable_order_counts_half() -> None:
    found = await compared(orders("?", said("A")))
    assert isinstance(found, Preference)
    assert (found.value, found.consistent) == (0.5, False)
    found = await compared(orders(said("A"), RequestRefusedError("no", backend="b")))
    assert isinstance(found, Preference)
    assert (found.value, found.consistent) == (-0.5, False)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("?", "the judge's reply could not be read: the reply holds no JSON object"),
        (said("C"), 'the judge\'s reply could not be read: `better` has to be "A", "B" or "tie"'),
        (said(None), 'the judge\'s reply could not be read: `better` has to be "A", "B" or "tie"'),
        (RequestRefusedError("content\nfilter\x00", backend="b"), "the judge refused: content\nfilter"),
    ],
)
async def test_without_a_readable_order_nothing_is_known(reply: Reply, reason: str) -> None:
    assert await compared(orders(reply, reply)) == Uncompared(reason=reason)


async def test_an_unreadable_reply_is_repaired_once() -> None:
    def reply(request: CompletionRequest) -> str:
        return "Hard to say." if len(prompt_of(request)) == 2 else said("tie")

    model = ScriptedModel(reply)
    assert await compared(model) == Preference(
        value=0.0, rationale="A is short.\nThe other way round: A is short."
    )
    assert len(model.requests) == 4


@pytest.mark.parametrize(
    "word", ["B", "b", " B. ", "**B**", "Answer B", "answer_b", "second", "B (clearly)", "B: it peels"]
)
async def test_the_winner_is_read_tolerantly(word: str) -> None:
    found = await compared(orders(said(word, differences=None), said("A")))
    assert isinstance(found, Preference)
    assert found.value == 1


@pytest.mark.parametrize("word", ["tie", "Tie.", "equal", "neither", "both", "none"])
async def test_a_tie_has_many_words(word: str) -> None:
    found = await compared(orders(said(word), said(word)))
    assert isinstance(found, Preference)
    assert (found.value, found.consistent) == (0.0, True)


@pytest.mark.parametrize(
    "error",
    [
        MisconfiguredError("wrong key", backend="b", status=401),
        BackendUnavailableError("gone", backend="b"),
        BudgetExceededError("calls"),
    ],
)
async def test_what_ends_a_run_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await compared(orders(error, error))


async def test_each_order_has_a_seed_of_its_own_and_the_judges_sampling() -> None:
    model = orders(said("tie"), said("tie"))
    await compared(model)
    assert [request.seed for request in model.requests] == [
        derive_seed(5, "order", 0),
        derive_seed(5, "order", 1),
    ]
    assert {request.sampling for request in model.requests} == {GREEDY}
    output = model.requests[0].output
    assert output is not None
    assert output.name == "comparison"
    json.dumps(output.schema)


async def test_the_system_message_is_fixed_and_what_varies_comes_last() -> None:
    model = orders(said("tie"), said("tie"))
    await compared(model)
    straight, swapped = (prompt_of(request) for request in model.requests)
    assert straight[0] == swapped[0]
    assert straight[0].text.startswith("# Task: compare two answers\n")
    assert straight[1].text == (
        "## Criteria\n"
        f"- Depth: {listed('Depth').scoring}\n"
        "- Egg Lore: It knows eggs.\n"
        "\n"
        "## Why these criteria\n"
        "| Eggs\n"
        "| are hot.\n"
        "\n"
        "## Query\n"
        "| How do I boil an egg?\n"
        "\n"
        "## Answer A\n"
        "| Seven minutes.\n"
        "\n"
        "## Answer B\n"
        "| Boil it, then peel it under cold water."
    )


def test_the_judge_can_be_named_in_provenance() -> None:
    judge = ModelPairwiseJudge(ScriptedModel(name="one/judge"), fixed, sampling=GREEDY)
    assert judge.model_name == "one/judge"
    assert len(judge.template_version) == 12


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=40), st.sampled_from(["A", "B", "tie", "\x00"])
)
OBJECTS: st.SearchStrategy[Any] = st.dictionaries(
    st.one_of(st.sampled_from(["better", "differences"]), st.text(max_size=5)),
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3)),
    max_size=4,
)
REPLIES = st.one_of(
    OBJECTS.map(json.dumps),
    OBJECTS.map(lambda value: json.dumps(value)[:-3]),
    st.text(max_size=100),
    st.sampled_from(["", "{", "[" * 2000, '{"better":' * 300]),
)


@given(REPLIES, REPLIES, st.text(max_size=60), st.text(max_size=60))
async def test_no_reply_raises_and_nothing_missing_is_a_preference(
    straight: str, swapped: str, first: str, second: str
) -> None:
    model = ScriptedModel(lambda request: straight if request.seed == derive_seed(5, "order", 0) else swapped)
    found = await compared(model, Completion(text=first), Completion(text=second))
    if isinstance(found, Uncompared):
        assert found.reason
        found.reason.encode()
    else:
        assert found.value in {-1, -0.5, 0, 0.5, 1}
        assert "\x00" not in found.rationale
        found.rationale.encode()


@given(st.text(), st.text())
async def test_no_answer_can_leave_its_quote(first: str, second: str) -> None:
    model = ScriptedModel(lambda _: said("tie"))
    await compared(model, Completion(text=first), Completion(text=second))
    for request in model.requests:
        spoken = [line for line in prompt_of(request)[1].text.split("\n") if line.startswith("#")]
        assert spoken == ["## Criteria", "## Why these criteria", "## Query", "## Answer A", "## Answer B"]


async def test_without_a_criterion_there_is_nothing_to_compare_by() -> None:
    async def none(query: Query) -> Selection:
        return dataclasses.replace(await fixed(query), criteria=())

    judge = ModelPairwiseJudge(ScriptedModel(), none, sampling=GREEDY)
    found = await judge.compare(QUERY, EGG, SOUP, seed=5)
    assert found == Uncompared(reason="there is no judged criterion to compare by")
