"""The small readers and writers."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.simulated.base_text import as_completion, read_text, with_examples_read
from app.llm.simulated.draws import digest, share
from app.llm.simulated.json_instance import json_reply
from app.llm.simulated.malformed import spoil
from app.llm.simulated.models import as_conversation
from app.llm.simulated.plain import as_cue, plain
from app.llm.simulated.sections import items, quoted, section
from app.llm.simulated.traits import Trait, match_trait
from optimizer.quoting import quote
from optimizer.rendering import COMPLETION_STOP, ExamplePlace, render_chat, render_text
from optimizer.types import Example, Message


@given(st.text(max_size=300), st.text(max_size=300))
def test_quoted_text_is_read_back_and_never_opens_a_section(first: str, second: str) -> None:
    message = f"## Query\n{quote(first)}\n\n## Answer\n{quote(second)}"
    again = quote(quoted(section(message, "## Query")))
    assert again == quote(quoted(str(quote(first)).split("\n")))
    assert quote(quoted(section(message, "## Answer"))) == quote(quoted(str(quote(second)).split("\n")))


def test_a_section_ends_at_the_next_heading_as_high() -> None:
    text = "## A\none\n### B\ntwo\n## C\nthree"
    assert section(text, "## A") == ["one", "### B", "two"]
    assert section(text, "## C") == ["three"]
    assert section(text, "## D") == []


def test_items_are_lines_with_a_name() -> None:
    assert items(["- A: one: more", "- no name", "- : x", "text: y", "- B:"]) == [
        ("A", "one: more"),
        ("B", ""),
    ]


@pytest.mark.parametrize(
    ("name", "trait"), [("critical thinking", Trait.CRITICAL_THINKING), ("Accuracy", Trait.FACTUALITY)]
)
def test_criteria_are_matched_loosely(name: str, trait: Trait) -> None:
    assert match_trait(name) is trait
    assert match_trait("Rhyme") is None


def test_cues_stand_at_the_start_of_words_and_whole_words_can_be_asked_for() -> None:
    assert as_cue("struct") in plain("Well-STRUCTURED text.")
    assert as_cue("struct") not in plain("construct")
    assert as_cue("git$") in plain("use git!")
    assert as_cue("git$") not in plain("a digital gite")
    assert as_cue("なぜ") in plain("家はなぜ")


def test_the_base_model_reads_what_is_rendered_for_it() -> None:
    examples = [
        Example(id="1", query="Q one?", answer="A one."),
        Example(id="2", query="Q two?", answer="A two."),
    ]
    turns = [
        Message(role="system", content="Theirs."),
        Message(role="user", content="Earlier?"),
        Message(role="assistant", content="Before."),
        Message(role="user", content="Now?\n # Answer: fake"),
    ]
    layout = read_text(render_text("Be kind.", examples, turns))
    assert layout.conversation.system == "Be kind.\n\nTheirs."
    assert layout.conversation.earlier == ("Q two?", "Q one?", "Earlier?")
    assert layout.conversation.shown_answers == ("A two.", "A one.", "Before.")
    assert layout.conversation.query.startswith("Now?")
    assert COMPLETION_STOP[0] in as_completion("Answer.", layout)


@pytest.mark.parametrize("place", list(ExamplePlace))
def test_examples_are_read_alike_wherever_they_stand(place: ExamplePlace) -> None:
    examples = (
        Example(id="1", query="Q one?", answer="A one."),
        Example(id="2", query="Q two?", answer="A two."),
    )
    asked = (Message(role="user", content="Now?"),)
    read = with_examples_read(as_conversation(render_chat("Be kind.\n\n- Be brief.", examples, asked, place)))
    assert read == as_conversation(render_chat("Be kind.\n\n- Be brief.", examples, asked))


def test_a_system_message_that_shows_no_example_is_read_as_it_is() -> None:
    conversation = as_conversation((Message(role="system", content="# Query:\nWhat?"),))
    assert with_examples_read(conversation) is conversation


def test_a_text_without_labels_is_the_query() -> None:
    layout = read_text("Just this.")
    assert layout.conversation.query == "Just this."
    assert as_completion("Answer.", layout) == "Answer."


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        (None, {"answer": "t"}),
        ({"type": "object"}, {}),
        ({"type": "object", "properties": {"a": {"type": "integer", "minimum": 2}}}, {"a": 2}),
        (
            {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "boolean"}}},
            {"a": 1, "b": True},
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array", "minItems": 2, "items": {"const": 3}}}},
            {"a": [3, 3]},
        ),
        ({"type": "object", "properties": {"a": {"enum": ["x", "y"]}}}, {"a": "x"}),
        (
            {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}},
            {"a": "t"},
        ),
        ({"type": "object", "properties": {"a": {"type": ["null", "string"]}}}, {"a": "t"}),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"b": {"type": "null"}}}}},
            {"b": None},
        ),
        ({"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}, {"a": None}),
    ],
)
def test_a_schema_gets_an_instance(schema: dict[str, object] | None, wanted: object) -> None:
    assert json.loads(json_reply(schema, "t")) == wanted


def test_a_schema_that_contains_itself_ends() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#"}}}
    assert json.loads(json_reply(schema, "t"))["a"]


REPLIES = (
    '{"scores": [{"criterion": "A", "rationale": "b", "score": 3}]}',
    '{"analysis": "a", "criteria": [{"name": "A"}], "reasoning": "r"}',
    '{"analysis": "a", "system_prompt": "Be kind."}',
    "A plain answer to a question.",
    "",
)


@pytest.mark.parametrize("reply", REPLIES)
def test_a_spoilt_reply_is_not_the_reply(reply: str) -> None:
    spoilt = {spoil(reply, random.Random(seed)) for seed in range(60)}
    assert len(spoilt) >= 3
    assert not reply or reply not in spoilt


@given(st.text(), st.integers())
def test_draws_are_made_of_names(name: str, number: int) -> None:
    assert digest(name, number) == digest(name, number)
    assert 0 <= share(name, number) <= 1
