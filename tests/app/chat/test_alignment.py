import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat.alignment import Alignment, chat_body
from app.chat.schemas import ChatRequest
from app.errors import ApiError
from app.llm.capabilities import Capabilities
from app.llm.wire import message_from_json, message_to_json
from optimizer.rendering import MESSAGES, CallerSystem, assemble_chat
from optimizer.types import JsonObject, JsonValue
from tests.app.chat.prompts import alignment, request, system, user

IMAGE: JsonObject = {
    "role": "user",
    "name": "ann",
    "content": [
        {"type": "text", "text": "Why is the sky in this picture blue?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ],
}
TOOL_TURNS: tuple[JsonObject, ...] = (
    user("What's the weather?"),
    {"role": "assistant", "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "w"}}]},
    {"role": "tool", "tool_call_id": "t1", "content": "rain"},
)


def body(asked: ChatRequest, aligned: Alignment | None, can: Capabilities | None = None) -> JsonObject:
    return chat_body(asked, aligned, model="upstream", can=can or Capabilities())


def messages(asked: ChatRequest, aligned: Alignment | None, can: Capabilities | None = None) -> JsonValue:
    return body(asked, aligned, can)["messages"]


def test_without_alignment_only_the_model_changes() -> None:
    asked = request(system("THEIRS"), *TOOL_TURNS, n=2, seed=3, odd={"x": [None]}, temperature=None)
    assert body(asked, None) == {**asked.body, "model": "upstream"}


def test_our_prompt_and_the_nearest_example_come_first() -> None:
    assert messages(request(), alignment(k=1)) == [
        system("OURS"),
        user("Why is the sky blue?"),
        {"role": "assistant", "content": "Scattering."},
        user("Why is the sea blue?"),
    ]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (CallerSystem.AFTER, "OURS\n\nTHEIRS\n\nMORE"),
        (CallerSystem.BEFORE, "THEIRS\n\nMORE\n\nOURS"),
        (CallerSystem.REPLACE, "THEIRS\n\nMORE"),
    ],
)
def test_the_callers_system_messages_are_kept_where_the_policy_wants(
    policy: CallerSystem, expected: str
) -> None:
    asked = request(system("THEIRS"), system("MORE", "developer"), user("hi"))
    assert messages(asked, alignment(caller_system=policy)) == [system(expected), user("hi")]


def test_a_system_message_of_more_than_text_is_refused_where_it_would_be_joined_with_ours() -> None:
    asked = request({**IMAGE, "role": "system"}, user("hi"))
    with pytest.raises(ApiError, match="have to be text") as caught:
        body(asked, alignment())
    assert (caught.value.answer.status, caught.value.answer.param) == (400, "messages.0.content")
    assert messages(asked, None) == [{**IMAGE, "role": "system"}, user("hi")]
    parts: JsonObject = {"role": "system", "content": [{"type": "text", "text": "THEIRS"}]}
    assert messages(request(parts, user("hi")), alignment()) == [system("OURS\n\nTHEIRS"), user("hi")]


def test_examples_are_chosen_by_the_last_user_message() -> None:
    turns = [user("Why is the sky blue?"), *TOOL_TURNS[1:], user("And how long for an egg?")]
    shown = messages(request(*turns), alignment(k=1, turns=turns))
    assert isinstance(shown, list)
    assert shown[1] == user("How do I boil an egg?")


def test_a_conversation_without_a_user_message_is_aligned_too() -> None:
    asked = request(system("THEIRS"))
    assert messages(asked, alignment()) == [system("OURS\n\nTHEIRS")]


@pytest.mark.parametrize("turns", [TOOL_TURNS, (IMAGE,), (user("a"), system("later"), user("b"))])
def test_turns_after_the_leading_system_messages_stay_as_they_came(turns: tuple[JsonObject, ...]) -> None:
    asked = request(system("THEIRS"), *turns, tools=[{"type": "function"}])
    aligned = body(asked, alignment(k=1))
    sent = aligned["messages"]
    assert isinstance(sent, list)
    assert sent[3:] == list(turns)
    assert aligned["tools"] == [{"type": "function"}]


def test_the_text_of_content_parts_finds_examples() -> None:
    shown = messages(request(IMAGE), alignment(k=1))
    assert isinstance(shown, list)
    assert shown[1] == user("Why is the sky blue?")


def test_sampling_values_are_defaults_only() -> None:
    tuned = alignment(sampling={"temperature": 0, "top_p": 0.9, "max_tokens": 5})
    assert body(request(), tuned).items() >= {"temperature": 0, "top_p": 0.9}.items()
    assert "max_tokens" not in body(request(), tuned)
    own = body(request(temperature=0.7, top_p=None), tuned)
    assert (own["temperature"], own["top_p"]) == (0.7, 0.9)


def test_an_unset_sampling_value_is_not_sent() -> None:
    sent = body(request(), alignment(sampling={"temperature": None}))
    assert set(sent) == {"model", "messages"}


def test_a_model_that_takes_no_sampling_values_gets_none_of_ours() -> None:
    can = dataclasses.replace(Capabilities(), sampling=False)
    sent = body(request(top_p=0.5), alignment(sampling={"temperature": 0}), can)
    assert "temperature" not in sent
    assert sent["top_p"] == 0.5


def test_without_a_system_role_the_prompt_goes_before_the_first_user_message_as_in_the_search() -> None:
    can = dataclasses.replace(Capabilities(), system_role=False)
    assert messages(request(system("THEIRS"), *TOOL_TURNS), alignment(), can) == [
        user("OURS\n\nTHEIRS\n\nWhat's the weather?"),
        {"content": None, **TOOL_TURNS[1]},
        TOOL_TURNS[2],
    ]


TURNS = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
        st.text(max_size=12) | st.none(),
    ),
    min_size=1,
    max_size=5,
)


@given(TURNS, st.sampled_from(CallerSystem), st.integers(0, 2))
def test_what_is_served_is_what_the_search_renders(
    turns: list[JsonObject], policy: CallerSystem, k: int
) -> None:
    aligned = alignment(k=k, caller_system=policy, turns=turns)
    asked = request(*turns)
    conversation = [message_from_json(turn) for turn in turns]
    rendered = assemble_chat("OURS", aligned.examples, conversation, MESSAGES, caller_system=policy)
    assert messages(asked, aligned) == [message_to_json(message) for message in rendered]
