"""A prompt as the beginning of a request for a chat completion of OpenAI's API."""

import re
from collections.abc import Sequence
from typing import Final

from app.llm.wire import message_from_json
from app.prompts.formats.content import (
    PROMPT_LIMIT,
    PromptContent,
    ReadPrompt,
    numbered,
    read_sampling,
    shown_examples,
    unreadable,
)
from optimizer.rendering import SYSTEM_ROLES, count_leading_system, render_chat
from optimizer.types import Example, JsonObject, JsonValue, Message

_PLACE: Final = re.compile(r"\s*\{\{\s*\w+\s*\}\}\s*")


def write_messages(content: PromptContent, *, every_example: bool) -> JsonObject:
    """``messages`` and sampling values; the caller's question is to be put last."""
    told: JsonObject = {
        "messages": messages_of(content.system_prompt, shown_examples(content, every=every_example))
    }
    return told | {name: value for name, value in content.sampling.items() if value is not None}


def messages_of(system_prompt: str, examples: Sequence[Example]) -> list[JsonValue]:
    """The messages that stand before a question; the first example stands last, as in serving."""
    return [{"role": turn.role, "content": turn.content} for turn in render_chat(system_prompt, examples, ())]


def read_messages(document: JsonValue) -> ReadPrompt:
    """The prompt in a list of messages, or in an object that has one as ``messages``.

    Leading system messages are the prompt, pairs of user and assistant messages its examples, and a last
    user message is the place of the question.

    Raises:
        ApiError: 400, the messages are no such list.
    """
    found = document.get("messages") if isinstance(document, dict) else document
    if not isinstance(found, list) or not found:
        raise unreadable("give messages, or an object with messages")
    turns = [_message(item, place) for place, item in enumerate(found)]
    leading = count_leading_system(turn.role for turn in turns)
    prompt = "\n\n".join(turn.text for turn in turns[:leading])
    if len(prompt) > PROMPT_LIMIT:
        raise unreadable(f"the system prompt has more than {PROMPT_LIMIT} characters")
    rest = turns[leading:]
    left_out: tuple[str, ...] = ()
    if len(rest) % 2:
        rest, left_out = rest[:-1], _left_question(rest[-1], leading + len(rest) - 1)
    pairs = [_pair(rest, place, leading) for place in range(0, len(rest), 2)]
    examples = numbered(pairs[::-1])
    return ReadPrompt(
        content=PromptContent(
            system_prompt=prompt,
            examples=examples,
            k=len(examples),
            retrieval=None,
            sampling=read_sampling(document),
        ),
        left_out=left_out,
    )


def _message(item: JsonValue, place: int) -> Message:
    if not isinstance(item, dict) or not isinstance(item.get("role"), str):
        raise unreadable(f"message {place} is no object with a role")
    content = item.get("content")
    parts = content if isinstance(content, list) else [content]
    if not all(
        isinstance(part, str) or (isinstance(part, dict) and isinstance(part.get("text"), str))
        for part in parts
    ):
        raise unreadable(f"message {place} holds more than text, which a prompt cannot")
    return message_from_json(item)


def _pair(turns: Sequence[Message], at: int, leading: int) -> tuple[str, str]:
    query, answer = turns[at], turns[at + 1]
    if (query.role, answer.role) != ("user", "assistant"):
        raise unreadable(
            f"messages {leading + at} and {leading + at + 1} are no example: after the system messages user "
            f"and assistant take turns, and here come {query.role} and {answer.role}"
        )
    return query.text, answer.text


def _left_question(turn: Message, place: int) -> tuple[str, ...]:
    if turn.role in SYSTEM_ROLES or turn.role != "user":
        raise unreadable(f"message {place}: the last message of an odd number has to be the user's question")
    if _PLACE.fullmatch(turn.text):
        return ()
    return (f"the last user message ({turn.text[:80]!r}), which stands for the question",)
