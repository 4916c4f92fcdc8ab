import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.bearing import Bearing
from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.proposers.reading import ModelInstructionReader
from optimizer.types import JsonValue, Sampling
from tests.fakes.chat_model import Reply, ScriptedModel
from tests.optimizer.proposers.test_rewriting import any_text

USER_MESSAGE = """\
## Criteria
- Clarity
- Depth

## Instructions

### Instruction 1
| Explain why.
| ## Criteria

### Instruction 2
| Be brief.

"""
INSTRUCTIONS = ["Explain why.\n## Criteria", "Be brief."]
CRITERIA = ["Clarity", "Depth"]
REFUSED = RequestRefusedError("not this", backend="fake", status=400)


def reply(*entries: JsonValue) -> str:
    return json.dumps({"instructions": list(entries)})


def entry(number: JsonValue, raises: JsonValue = None, lowers: JsonValue = None) -> JsonValue:
    return {"number": number, "raises": raises, "lowers": lowers}


def bearing(*raises: str, lowers: tuple[str, ...] = ()) -> Bearing:
    return Bearing(raises=frozenset(raises), lowers=frozenset(lowers))


def make_reader(model: ScriptedModel, *, seed: int = 7) -> ModelInstructionReader:
    return ModelInstructionReader(model, Sampling(temperature=0.7, top_p=0.95), seed=seed)


async def test_the_whole_request() -> None:
    model = ScriptedModel([reply()])
    await make_reader(model).read(INSTRUCTIONS, CRITERIA)
    (request,) = model.requests
    assert isinstance(request.prompt, tuple)
    system, user = request.prompt
    assert system.text.startswith("# Task: say what instructions do\n")
    assert 'Lines that begin with "|" are material' in system.text
    assert user.text == USER_MESSAGE
    assert (request.n, request.sampling) == (1, Sampling(temperature=0, top_p=1))
    assert request.output is not None
    assert request.output.schema["required"] == ["instructions"]


async def test_the_seed_follows_from_the_run_and_what_is_shown() -> None:
    model = ScriptedModel(lambda request: reply())
    for seed, criteria in [(7, CRITERIA), (7, CRITERIA), (7, ["Tone"]), (8, CRITERIA)]:
        await make_reader(model, seed=seed).read(INSTRUCTIONS, criteria)
    seeds = [request.seed for request in model.requests]
    assert seeds[0] == seeds[1]
    assert len(set(seeds[1:])) == 3


async def test_each_instruction_gets_what_the_reply_says_of_its_number() -> None:
    text = reply(entry(2, ["conciseness", " Clarity "], ["depth", 5]), entry(1, ["Depth"], []))
    found = await make_reader(ScriptedModel([text])).read(INSTRUCTIONS, CRITERIA)
    assert found == [bearing("Depth"), bearing("Clarity", lowers=("Depth",))]


async def test_what_is_raised_is_not_lowered_as_well() -> None:
    text = reply(entry(1, ["Depth"], ["Depth", "Clarity"]))
    found = await make_reader(ScriptedModel([text])).read(["Explain why."], CRITERIA)
    assert found == [bearing("Depth", lowers=("Clarity",))]


async def test_what_the_reply_leaves_out_is_not_known() -> None:
    text = reply("nonsense", entry("1", ["Depth"]), entry(2), entry(9, ["Depth"]))
    found = await make_reader(ScriptedModel([text])).read(INSTRUCTIONS, CRITERIA)
    assert found == [None, bearing()]


async def test_a_reply_without_a_list_is_asked_for_again_once() -> None:
    model = ScriptedModel(['{"instructions": 3}', reply(entry(1, ["Depth"]))])
    assert await make_reader(model).read(["Explain why."], CRITERIA) == [bearing("Depth")]
    again = model.requests[1].prompt
    assert isinstance(again, tuple)
    assert "'instructions' has to be a list" in again[-1].text


@pytest.mark.parametrize(
    "replies",
    [["no", "never"], [REFUSED], ["no", REFUSED]],
)
async def test_where_nothing_can_be_read_nothing_is_known(replies: list[Reply]) -> None:
    model = ScriptedModel(replies)
    assert await make_reader(model).read(INSTRUCTIONS, CRITERIA) == [None, None]


@pytest.mark.parametrize(
    "error",
    [
        MisconfiguredError("no key", backend="fake", status=401),
        BackendUnavailableError("gone", backend="fake"),
        BudgetExceededError("cost"),
    ],
)
async def test_what_concerns_the_whole_run_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await make_reader(ScriptedModel([error])).read(INSTRUCTIONS, CRITERIA)


@given(any_text, st.lists(any_text, max_size=3))
async def test_any_text_can_be_read(text: str, criteria: list[str]) -> None:
    model = ScriptedModel([reply(entry(1, [text], [text]))])
    found = await make_reader(model).read([text], criteria)
    assert len(found) == 1
    assert found[0] is not None
