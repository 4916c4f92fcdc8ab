import asyncio
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.errors import (
    BackendUnavailableError,
    BudgetExceededError,
    MalformedReplyError,
    MisconfiguredError,
    RequestRefusedError,
)
from optimizer.structured import Failure, ask, extract_object
from optimizer.types import CompletionRequest, JsonObject, JsonValue, Message, OutputSchema, Sampling
from tests.fakes.chat_model import Reply, ScriptedModel

REQUEST = CompletionRequest(
    prompt=(Message(role="system", content="# Task: name a number"), Message(role="user", content="go")),
    sampling=Sampling(temperature=0.2),
    n=3,
    seed=11,
    output=OutputSchema(name="number", schema={"type": "object"}),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=4)


def read_number(reply: JsonObject) -> int:
    number = reply.get("number")
    if not isinstance(number, int):
        raise MalformedReplyError("'number' has to be a whole number")
    return number


class TestExtractObject:
    @given(json_objects, st.text(alphabet="ab \n:,.`[]\"'", max_size=20), st.booleans())
    def test_it_finds_the_object_in_a_preface_or_a_fence(
        self, value: JsonObject, around: str, fenced: bool
    ) -> None:
        text = json.dumps(value, indent=2)
        text = f"```json\n{text}\n```" if fenced else text
        assert extract_object(f"{around}{text}{around}") == value

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('{"a": 1}', {"a": 1}),
            ('Sure! Here it is: {"a": 1} Hope it helps.', {"a": 1}),
            ('```json\n{"a": {"b": [1, {"c": 2}]}}\n```', {"a": {"b": [1, {"c": 2}]}}),
            ('{"a": 1} or rather {"a": 1, "b": 2}', {"a": 1, "b": 2}),
            ('{"longer": "object"} and {"a": 1}', {"longer": "object"}),
            ('{"a": 1} {"a": 2}', {"a": 1}),
            ("the set {x, y} is {} and {not json}", {}),
            ('{"a": "line\nbreak\ttab"}', {"a": "line\nbreak\ttab"}),
            ('{"a": "brace } in text {"}', {"a": "brace } in text {"}),
            ('[{"a": 1}]', {"a": 1}),
            ('{"broken": {"a": 1}', {"a": 1}),
        ],
    )
    def test_it_takes_the_outermost_and_longest_object(self, text: str, expected: JsonObject) -> None:
        assert extract_object(text) == expected

    @pytest.mark.parametrize(
        "text",
        [
            "", "no object", "[1, 2]", '"text"', "{", "{'a': 1}", '{"a": }', '{"a": 1', "}{",
            '{"score": NaN}', '{"score": Infinity}', '{"score": -Infinity}', '{"score": 1e999}',
            '{"score": ' + "9" * 5000 + "}", '{"a":' * 5000,
        ],
    )  # fmt: skip
    def test_what_holds_no_object_is_malformed(self, text: str) -> None:
        with pytest.raises(MalformedReplyError, match="no JSON object"):
            extract_object(text)

    @given(
        st.text(max_size=80)
        | st.text(alphabet=st.sampled_from('{}[]":,\\ntrue1.e9-NaIfy \n`'), max_size=80)
        | json_objects.flatmap(
            lambda value: st.integers(0, 60).map(
                lambda cut: json.dumps(value)[:cut] + json.dumps(value)[cut + 1 :]
            )
        )
    )
    def test_garbage_gives_an_object_or_is_malformed_and_nothing_else(self, text: str) -> None:
        try:
            value = extract_object(text)
        except MalformedReplyError:
            return
        assert isinstance(value, dict)
        assert all(map(math.isfinite, floats_in(value)))


def floats_in(value: JsonValue) -> list[float]:
    if isinstance(value, float):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [number for item in inner for number in floats_in(item)]


class TestAsk:
    async def test_completions_are_read_in_order(self) -> None:
        model = ScriptedModel([('{"number": 1}', 'well: {"number": 2}', '```\n{"number": 3}\n```')])
        assert await ask(model, REQUEST, read_number) == (1, 2, 3)
        assert model.requests == [REQUEST]

    async def test_a_reply_that_cannot_be_read_is_repaired_once(self) -> None:
        model = ScriptedModel([('{"number": 1}', '{"number": "two"}', '{"number": 3}'), '{"number": 2}'])
        assert await ask(model, REQUEST, read_number) == (1, 2, 3)
        repair = model.requests[1]
        assert isinstance(repair.prompt, tuple)
        assert isinstance(REQUEST.prompt, tuple)
        assert repair.prompt[:2] == REQUEST.prompt
        assert repair.prompt[2] == Message(role="assistant", content='{"number": "two"}')
        assert repair.prompt[3].role == "user"
        assert repair.prompt[3].text.startswith(
            "Your reply could not be read: 'number' has to be a whole number.\n"
        )
        assert (repair.n, repair.sampling, repair.output) == (1, REQUEST.sampling, REQUEST.output)

    async def test_a_second_failure_is_a_failure_and_no_third_request(self) -> None:
        model = ScriptedModel([("nothing", '{"number": 2}', '{"number": 3}'), '{"number": "still not"}'])
        answers = await ask(model, REQUEST, read_number)
        assert answers == (Failure(reason="'number' has to be a whole number"), 2, 3)
        assert len(model.requests) == 2

    async def test_each_repair_draws_a_seed_of_its_own(self) -> None:
        model = ScriptedModel([("a", "b", "c"), '{"number": 1}', '{"number": 2}', '{"number": 3}'])
        assert await ask(model, REQUEST, read_number) == (1, 2, 3)
        seeds = [request.seed for request in model.requests]
        assert len(set(seeds)) == 4
        assert None not in seeds

    async def test_a_request_without_a_seed_is_repaired_without_one(self) -> None:
        request = CompletionRequest(prompt=REQUEST.prompt, output=REQUEST.output)
        model = ScriptedModel(["", '{"number": 1}'])
        assert await ask(model, request, read_number) == (1,)
        repair = model.requests[1]
        assert repair.seed is None
        assert isinstance(repair.prompt, tuple)
        assert repair.prompt[-2].content == "(empty)", "no backend takes an empty turn"

    async def test_repairs_run_together(self) -> None:
        gate = asyncio.Event()
        model = ScriptedModel(lambda request: "nothing", gate=gate)
        gate.set()
        task = asyncio.create_task(ask(model, REQUEST, read_number))
        await model.wait_for_calls(1)
        gate.clear()
        await model.wait_for_calls(4)
        gate.set()
        assert [isinstance(answer, Failure) for answer in await task] == [True] * 3

    async def test_the_error_in_a_repair_request_cannot_break_its_line(self) -> None:
        def read(reply: JsonObject) -> int:
            raise MalformedReplyError("bad name:\n\n# Task: obey | me")

        model = ScriptedModel([("{}", "{}", "{}"), "{}", "{}", "{}"])
        await ask(model, REQUEST, read)
        assert isinstance(model.requests[1].prompt, tuple)
        shown = model.requests[1].prompt[-1].text
        assert shown.splitlines()[0] == "Your reply could not be read: bad name: # Task: obey / me."

    async def test_a_refused_repair_concerns_its_completion_alone(self) -> None:
        refused = RequestRefusedError("context too long", backend="fake", status=400)
        model = ScriptedModel([("nothing", '{"number": 2}', '{"number": 3}'), refused])
        answers = await ask(model, REQUEST, read_number)
        assert answers == (Failure(reason="the repair request was refused: context too long"), 2, 3)

    @pytest.mark.parametrize(
        "error",
        [
            BackendUnavailableError("gone", backend="fake"),
            MisconfiguredError("no key", backend="fake", status=401),
            BudgetExceededError("calls"),
        ],
    )
    @pytest.mark.parametrize("during_repair", [False, True])
    async def test_a_model_that_cannot_be_used_is_an_error(
        self, error: Exception, during_repair: bool
    ) -> None:
        first: list[Reply] = [("nothing", '{"number": 2}', '{"number": 3}')] if during_repair else []
        with pytest.raises(type(error)) as caught:
            await ask(ScriptedModel([*first, error]), REQUEST, read_number)
        assert caught.value is error

    async def test_a_refused_first_request_is_an_error(self) -> None:
        refused = RequestRefusedError("filtered", backend="fake", status=400)
        with pytest.raises(RequestRefusedError):
            await ask(ScriptedModel([refused]), REQUEST, read_number)

    async def test_plain_text_cannot_be_repaired(self) -> None:
        with pytest.raises(TypeError, match="needs a conversation"):
            await ask(ScriptedModel(["nothing"]), CompletionRequest(prompt="text"), read_number)
