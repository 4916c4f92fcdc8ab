"""Prompts written for other programs, and read again."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ApiError
from app.prompts.formats.bundle import Bundle, read_bundle, write_bundle
from app.prompts.formats.content import PromptContent
from app.prompts.formats.dspy_state import read_state, write_state
from app.prompts.formats.openai_messages import read_messages, write_messages
from app.prompts.formats.promptfoo import read_promptfoo, write_promptfoo
from optimizer.types import Example, JsonObject

BRACES = st.text(alphabet=st.sampled_from("{}%#' aé\n"), min_size=1, max_size=30)
TEXTS = (st.text(min_size=1, max_size=40) | BRACES).map(str.strip).filter(bool)
SAMPLING: st.SearchStrategy[JsonObject] = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.none() | st.floats(0, 2),
        "top_p": st.none() | st.floats(0.01, 1),
    },
)
RETRIEVALS: tuple[JsonObject | None, ...] = (None, {"kind": "backend", "backend": "b", "model": "m"})
BANKS = st.lists(st.tuples(TEXTS, TEXTS, st.none() | TEXTS), max_size=4)


@st.composite
def contents(draw: st.DrawFn) -> PromptContent:
    examples = tuple(
        Example(id=f"ex-{number:03d}", query=query, answer=answer, kind=kind)
        for number, (query, answer, kind) in enumerate(draw(BANKS), start=1)
    )
    return PromptContent(
        system_prompt=draw(TEXTS),
        examples=examples,
        k=draw(st.integers(0, len(examples))),
        retrieval=draw(st.sampled_from(RETRIEVALS)),
        sampling=draw(SAMPLING),
    )


def reread(told: object) -> Any:
    """``told`` as it arrives over the wire."""
    return json.loads(json.dumps(told))


def sent(content: PromptContent) -> tuple[str, list[tuple[str, str]]]:
    """What formats without retrieval carry."""
    return content.system_prompt, [(item.query, item.answer) for item in content.examples]


@given(contents())
def test_a_bundle_is_read_bit_for_bit(content: PromptContent) -> None:
    assert read_bundle(Bundle.model_validate(reread(write_bundle(content, {"model": "m"})))) == content


@given(contents(), TEXTS)
def test_a_changed_bundle_is_refused(content: PromptContent, other: str) -> None:
    told = reread(write_bundle(content, {}))
    told["content"]["system_prompt"] += other
    with pytest.raises(ApiError, match="content_hash does not fit"):
        read_bundle(Bundle.model_validate(told))


@given(contents())
def test_whole_numbers_for_sampling_are_the_same_numbers(content: PromptContent) -> None:
    told = reread(write_bundle(content, {}))
    sampling = told["content"]["sampling"]
    told["content"]["sampling"] = {
        name: int(value) if value is not None and value == int(value) else value
        for name, value in sampling.items()
    }
    assert read_bundle(Bundle.model_validate(told)) == content


@given(contents())
def test_other_formats_carry_prompt_examples_and_sampling(content: PromptContent) -> None:
    messages = read_messages(reread(write_messages(content, every_example=True)))
    state = read_state(reread(write_state(content, every_example=True)))
    foo = read_promptfoo(reread(write_promptfoo(content, model="{{m}}", every_example=True)))
    for read in (messages, state, foo):
        assert sent(read.content) == sent(content)
        assert read.content.k == len(content.examples)
        assert read.left_out == ()
    for read in (messages, foo):
        said = {name: value for name, value in content.sampling.items() if value is not None}
        assert read.content.sampling == {"temperature": None, "top_p": None, **said}


@given(contents())
def test_what_promptfoo_renders_is_the_text(content: PromptContent) -> None:
    told: Any = write_promptfoo(content, model="m", every_example=True)
    for turn in told["files"]["prompt.json"][:-1]:
        # whatever would begin a tag of Nunjucks is our own expression, which stands for a brace
        assert re.search(r"\{[{%#](?! '\{' \}\})", turn["content"]) is None


@given(contents())
def test_by_default_the_first_k_examples_are_shown(content: PromptContent) -> None:
    read = read_messages(reread(write_messages(content, every_example=False)))
    assert sent(read.content)[1] == sent(content)[1][: content.k]


def test_demos_may_have_other_names_and_reasoning() -> None:
    state = {
        "respond": {
            "demos": [{"augmented": True, "question": "q", "reasoning": "r", "response": "a"}],
            "signature": {"instructions": "Be kind.", "fields": []},
            "lm": {"model": "m", "temperature": 1, "top_p": 0},
        },
        "metadata": {},
    }
    read = read_state(reread(state))
    assert sent(read.content) == ("Be kind.", [("q", "a")])
    assert read.content.sampling == {"temperature": 1.0, "top_p": None}
    assert read.left_out == ("the reasoning of demos", "the language model, but for temperature and top_p")


def test_a_question_at_the_end_is_left_out_and_said() -> None:
    turns = [
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Why?"},
    ]
    assert read_messages(reread(turns)).left_out == (
        "the last user message ('Why?'), which stands for the question",
    )


def test_a_prompt_of_promptfoo_may_stand_in_the_configuration() -> None:
    config = {"prompts": ["Be kind.\n{{query}}"], "providers": ["openai:gpt"]}
    assert read_promptfoo(reread({"config": config})).content.system_prompt == "Be kind."
    raw = {"prompts": [{"raw": '[{"role": "system", "content": "Be {{mood}}."}]'}]}
    assert read_promptfoo(reread({"config": raw})).content.system_prompt == "Be {{mood}}."


SYSTEM = {"role": "system", "content": "s"}
USER = {"role": "user", "content": "u"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "give messages"),
        ({"messages": "x"}, "give messages"),
        ([{"content": "x"}], "message 0 is no object with a role"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "more than text"),
        ([SYSTEM, {"role": "user", "content": None}], "more than text"),
        ([SYSTEM, USER, USER], "messages 1 and 2 are no example"),
        ([SYSTEM, {"role": "assistant", "content": "a"}], "the user's question"),
        ([USER, {"role": "assistant", "content": ""}], "example 1: query and answer need"),
        ([{"role": "system", "content": "x" * 20_001}], "more than 20000"),
    ],
)
def test_messages_that_are_no_prompt_are_refused(document: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        read_messages(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "this has 0"),
        ({"a": {"signature": {}}, "b": {"signature": {}}}, "this has 2"),
        ({"signature": {"instructions": 1}}, "has to be a text"),
        ({"signature": {"instructions": "x"}, "demos": {}}, "demos has to be a list"),
        ({"signature": {"instructions": "x"}, "demos": [{"a": "b"}]}, "demo 1 has to have two fields"),
        ({"signature": {"instructions": "x"}, "demos": ["a"]}, "demo 1 has to have two fields"),
    ],
)
def test_states_that_are_no_prompt_are_refused(document: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        read_state(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "give the configuration"),
        ({"config": {"prompts": ["a", "b"]}}, "has 2"),
        ({"config": {}}, "has 0"),
        ({"config": {"prompts": "file://x.json"}}, "x.json, which is not in files"),
        ({"config": {"prompts": "{% if x %}a{% endif %}"}}, "has logic"),
        ({"config": {"prompts": [3]}}, "give messages"),
    ],
)
def test_configurations_that_are_no_prompt_are_refused(document: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        read_promptfoo(document)
