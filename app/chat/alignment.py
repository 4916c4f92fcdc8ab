"""From a chat request and a prompt version to what a model with a chat template is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.chat.policy import AlignmentPolicy
from app.chat.prompt_objects import fill
from app.chat.schemas import ChatRequest
from app.errors import invalid_request
from app.labelled_prompts import ServedPrompt
from app.llm.capabilities import Capabilities
from app.llm.wire import fold_system, message_from_json, message_to_json
from app.telemetry.current import timed
from app.telemetry.timing import Part
from optimizer.quick_values import quick
from optimizer.rendering import (
    SYSTEM_ROLES,
    CallerSystem,
    ExamplePlace,
    TurnForm,
    assemble_chat,
    count_leading_system,
)
from optimizer.types import Example, JsonObject, JsonValue, Message


def _text(turn: JsonObject) -> str:
    content = turn.get("content")
    return content if isinstance(content, str) else message_from_json(turn).text


_JSON_TURNS: Final[TurnForm[JsonObject]] = TurnForm(
    role=lambda turn: str(turn["role"]),
    text=_text,
    write=lambda role, text: {"role": role, "content": text},
)
_DEFAULTS = ("temperature", "top_p")


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """What aligns a request.

    Attributes:
        prompt: the version.
        system_prompt: its system prompt, with the caller's texts for its variables where it was asked for so.
        caller_system: what becomes of the caller's own system message.
        examples: those that are shown, most similar first.
        place: where they stand.
        found_by: what found them; None where there are none.
    """

    prompt: ServedPrompt
    system_prompt: str
    caller_system: CallerSystem
    examples: tuple[Example, ...] = ()
    place: ExamplePlace = ExamplePlace.FIRST
    found_by: str | None = None

    def defaults(self, body: Mapping[str, JsonValue]) -> JsonObject:
        """The version's sampling values that ``body`` does not set itself.

        Temperature and top_p belong to the form in which the prompt was tuned. A limit of the answer's
        length does not: it was there to bound the cost of the search, and would cut a user's answer off.
        """
        sampling = self.prompt.version.sampling
        return {
            name: sampling[name]
            for name in _DEFAULTS
            if sampling.get(name) is not None and body.get(name) is None
        }


async def align(
    prompt: ServedPrompt,
    policy: AlignmentPolicy,
    messages: Sequence[JsonObject],
    variables: Mapping[str, str] | None = None,
) -> Alignment:
    """Align a conversation by ``prompt``, with the examples nearest to the last user message.

    Args:
        prompt: the version.
        policy: how it is used.
        messages: the conversation.
        variables: texts for what stands as ``{{name}}`` in the system prompt; None leaves it as it is.

    Raises:
        ApiError: 400, the variables are not those of the prompt.
    """
    system_prompt = prompt.version.system_prompt
    if variables is not None:
        system_prompt = fill(system_prompt, variables)
    asked = next((_text(turn) for turn in reversed(messages) if turn["role"] == "user"), "")
    with timed(Part.RETRIEVE):
        nearest = await prompt.nearest(asked, policy.k)
    return Alignment(
        prompt=prompt,
        system_prompt=system_prompt,
        caller_system=policy.caller_system,
        examples=nearest.examples,
        place=policy.place,
        found_by=nearest.found_by if nearest.examples else None,
    )


def chat_body(
    request: ChatRequest, alignment: Alignment | None, *, model: str, can: Capabilities
) -> JsonObject:
    """The body for a chat backend: the caller's with another model name, aligned where that is wanted.

    Fields that mean nothing to us and messages after the leading system messages stay as they came.

    Args:
        request: the caller's.
        alignment: None asks the model as it is.
        model: the backend's name for the model.
        can: what the model can take; read for aligned requests only.

    Raises:
        ApiError: 400, a system message that is to be joined with ours holds more than text.
    """
    body = {**request.body, "model": model}
    if alignment is None:
        return body
    if can.sampling:
        body |= alignment.defaults(request.body)
    if alignment.caller_system is not CallerSystem.DROP and _begins_with_system(request.messages):
        leading, _ = split_leading_system(request.messages)
        _refuse_system_messages_beyond_text(leading)
    turns = assemble_chat(
        alignment.system_prompt,
        alignment.examples,
        request.messages,
        _JSON_TURNS,
        caller_system=alignment.caller_system,
        place=alignment.place,
    )
    if can.system_role:
        body["messages"] = [*turns]
    else:
        folded = fold_system([message_from_json(turn) for turn in turns])
        body["messages"] = [message_to_json(message) for message in folded]
    return body


def _begins_with_system(messages: Sequence[JsonObject]) -> bool:
    return bool(messages) and messages[0]["role"] in SYSTEM_ROLES


def _refuse_system_messages_beyond_text(leading: Sequence[Message]) -> None:
    """Ours and the caller's become one text, in which an image would be lost without a word."""
    for place, message in enumerate(leading):
        parts = message.content if isinstance(message.content, list) else []
        if any(not isinstance(part, dict) or not isinstance(part.get("text"), str) for part in parts):
            param = f"messages.{place}.content"
            raise invalid_request(
                f"{param}: the system messages at the beginning of an aligned request have to be text; send "
                "other parts in a user message, or switch alignment off",
                param=param,
            )


def split_leading_system(
    messages: Sequence[JsonObject],
) -> tuple[tuple[Message, ...], tuple[JsonObject, ...]]:
    """The system messages that a conversation begins with, and all after them as it came."""
    count = count_leading_system(str(turn["role"]) for turn in messages)
    return tuple(message_from_json(turn) for turn in messages[:count]), tuple(messages[count:])
