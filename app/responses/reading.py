"""Reading a request for a response: a chat request, and what its answer repeats."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.chat.fields import EXTENSION, read_model, read_object, read_options, read_stream
from app.chat.prompt_objects import FIELD as PROMPT
from app.chat.prompt_objects import read_prompt
from app.chat.schemas import ChatRequest
from app.errors import invalid_request
from app.responses.input_items import messages_of
from app.responses.options import OPTIONS
from optimizer.types import JsonObject

_HERE_ALONE = frozenset({"input", "instructions", "stream_options", *OPTIONS})


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseRequest:
    """A request for a response.

    Attributes:
        chat: as a request for chat completions.
        asked: the whole body without our extension, of which the answer repeats the options.
    """

    chat: ChatRequest
    asked: JsonObject


def read_request(content: bytes, headers: Mapping[str, str]) -> ResponseRequest:
    """The request in a body and its headers. Fields that mean nothing to us go to the backend as they are.

    Raises:
        ApiError: 400, with the field at fault.
    """
    body = read_object(content)
    options = read_options(body.pop(EXTENSION, None), headers)
    prompt = read_prompt(body.get(PROMPT))
    is_named_by_prompt = prompt is not None and body.get("model") is None
    model = "" if is_named_by_prompt else read_model(body.get("model"))
    stream = read_stream(body.get("stream"))
    messages = messages_of(body.get("input"))
    instructions = body.get("instructions")
    if not isinstance(instructions, str | None):
        raise invalid_request("instructions has to be a text", param="instructions")
    if instructions is not None:
        messages.insert(0, {"role": "system", "content": instructions})
    told: JsonObject = {
        name: value for name, value in body.items() if name not in _HERE_ALONE and name != PROMPT
    }
    for name, translated in OPTIONS.items():
        if body.get(name) is not None:
            told |= translated(body[name])
    told["messages"] = [*messages]
    chat = ChatRequest(
        model=model, messages=tuple(messages), stream=stream, options=options, body=told, prompt=prompt
    )
    return ResponseRequest(chat=chat, asked=body)
