import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.alignment import Alignment
from app.chat.base_models import CompletionAnswers, completions_body
from app.chat.schemas import ChatRequest
from app.errors import ApiError
from app.llm.wire import message_from_json
from optimizer.rendering import CallerSystem, render_text
from optimizer.types import JsonObject
from tests.app.chat.prompts import BANK, alignment, request, system, user


def body(asked: ChatRequest, aligned: Alignment | None = None) -> JsonObject:
    return completions_body(asked, aligned, model="upstream")


def test_a_conversation_becomes_text_to_complete() -> None:
    asked = request(
        system("THEIRS"), user("one"), {"role": "assistant", "content": "two"}, user("three"), seed=4, n=2
    )
    assert body(asked) == {
        "model": "upstream",
        "prompt": (
            "# Instruction:\nTHEIRS\n\n# Query:\none\n\n# Answer:\ntwo\n\n# Query:\nthree\n\n# Answer:\n"
        ),
        "stop": ["\n# Query:"],
        "max_tokens": 2048,
        "seed": 4,
        "n": 2,
    }


def test_the_prompt_is_rendered_as_in_the_search() -> None:
    turns = [message_from_json(user("Why is the sea blue?"))]
    assert body(request(), alignment(k=1))["prompt"] == render_text("OURS", (BANK[1],), turns)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (CallerSystem.AFTER, "OURS\n\nTHEIRS"),
        (CallerSystem.BEFORE, "THEIRS\n\nOURS"),
        (CallerSystem.REPLACE, "THEIRS"),
    ],
)
def test_the_policy_places_the_callers_system_message(policy: CallerSystem, expected: str) -> None:
    sent = body(request(system("THEIRS"), user("hi")), alignment(caller_system=policy))
    assert sent["prompt"] == f"# Instruction:\n{expected}\n\n# Query:\nhi\n\n# Answer:\n"


@pytest.mark.parametrize(
    ("given_stop", "sent"),
    [
        (None, ["\n# Query:"]),
        ("END", ["END", "\n# Query:"]),
        (["a", "b"], ["a", "b", "\n# Query:"]),
        (["\n# Query:"], ["\n# Query:"]),
    ],
)
def test_the_callers_stop_sequences_are_kept(given_stop: object, sent: list[str]) -> None:
    assert body(request(stop=given_stop))["stop"] == sent


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_completion_tokens": 8, "max_tokens": 7}, 8),
        ({}, 2048),
    ],
)
def test_the_length_limit_is_sent_by_its_old_name(fields: dict[str, int], limit: int) -> None:
    sent = body(request(**fields))
    assert sent["max_tokens"] == limit
    assert "max_completion_tokens" not in sent


def test_sampling_values_are_defaults_only() -> None:
    tuned = alignment(sampling={"temperature": 0, "top_p": 0.9})
    assert body(request(top_p=0.1), tuned).items() >= {"temperature": 0, "top_p": 0.1}.items()


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function"}]},
        {"tool_choice": "required"},
        {"response_format": {"type": "json_object"}},
        {"logprobs": True},
        {"top_logprobs": 2},
        {"modalities": ["text", "audio"]},
    ],
)
def test_what_text_cannot_carry_is_refused(fields: JsonObject) -> None:
    with pytest.raises(ApiError) as caught:
        body(request(**fields))
    assert caught.value.answer.status == 400
    assert caught.value.answer.param == next(iter(fields))


def test_fields_of_chat_that_ask_for_nothing_are_left_out() -> None:
    asked = request(
        tools=[],
        tool_choice="none",
        response_format={"type": "text"},
        logprobs=False,
        top_logprobs=None,
        parallel_tool_calls=True,
        user="ann",
    )
    assert set(body(asked)) == {"model", "prompt", "stop", "max_tokens", "user"}


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "tool", "tool_call_id": "t", "content": "rain"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "t"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "user", "content": ["odd"]},
    ],
)
def test_turns_that_are_no_text_are_refused(turn: JsonObject) -> None:
    with pytest.raises(ApiError) as caught:
        body(request(user("hi"), turn))
    assert (caught.value.answer.status, caught.value.answer.param) == (400, "messages.1")


def test_text_parts_are_text() -> None:
    asked = request({"role": "user", "content": [{"type": "text", "text": "hi"}]})
    assert body(asked)["prompt"] == "# Query:\nhi\n\n# Answer:\n"


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=9)), min_size=1))
def test_after_is_what_the_search_renders(turns: list[tuple[str, str]]) -> None:
    said: list[JsonObject] = [{"role": role, "content": text} for role, text in turns]
    asked = request(*said)
    conversation = [message_from_json(turn) for turn in asked.messages]
    assert body(asked, alignment())["prompt"] == render_text("OURS", (), conversation)
    assert body(asked)["prompt"] == render_text("", (), conversation)


def test_a_completion_becomes_a_chat_answer() -> None:
    reply: JsonObject = {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [
            {"index": 0, "text": "one", "finish_reason": "stop", "logprobs": {"tokens": []}},
            {"index": 1, "text": "two", "finish_reason": "length"},
        ],
        "usage": {"prompt_tokens": 1},
    }
    assert CompletionAnswers().whole(reply) == {
        "id": "cmpl-1",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "logprobs": None,
                "message": {"role": "assistant", "content": "one"},
            },
            {
                "index": 1,
                "finish_reason": "length",
                "logprobs": None,
                "message": {"role": "assistant", "content": "two"},
            },
        ],
        "usage": {"prompt_tokens": 1},
    }


def test_each_choice_of_a_stream_names_its_role_once() -> None:
    answers = CompletionAnswers()
    deltas = []
    for index, text, reason in [(0, "a", None), (1, "b", None), (0, "c", None), (1, "", "stop")]:
        event: JsonObject = {"choices": [{"index": index, "text": text, "finish_reason": reason}]}
        chunk = answers.chunk(event)
        assert chunk["object"] == "chat.completion.chunk"
        choices = chunk["choices"]
        assert isinstance(choices, list)
        assert isinstance(choices[0], dict)
        assert choices[0]["finish_reason"] == reason
        deltas.append(choices[0]["delta"])
    assert deltas == [
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"content": "c"},
        {},
    ]


def test_the_usage_event_has_no_choices() -> None:
    usage: JsonObject = {"choices": [], "usage": {"total_tokens": 3}}
    assert CompletionAnswers().chunk(usage) == {**usage, "object": "chat.completion.chunk"}


def test_an_event_without_choices_gets_an_empty_list() -> None:
    assert CompletionAnswers().chunk({"id": "x"})["choices"] == []
