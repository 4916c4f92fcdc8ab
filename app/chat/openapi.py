"""What ``/openapi.json`` says about the endpoints for models, which read their bodies themselves."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.chat.drafts import DRAFTS_HEADER, PICKED_HEADER
from app.chat.fields import EXTENSION
from app.chat.headers import (
    ALIGN_HEADER,
    ATTEMPTS_HEADER,
    BACKEND_HEADER,
    CACHE_HEADER,
    FALLBACK_HEADER,
    MODEL_HEADER,
    VERSION_HEADER,
)
from app.chat.schemas import AlignmentOptions

_TEXT_OR_PARTS: Final = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}, {"type": "null"}]
}
_MESSAGE: Final = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"type": "string", "examples": ["system", "developer", "user", "assistant", "tool"]},
        "content": _TEXT_OR_PARTS,
    },
    "additionalProperties": True,
}
_ALIGNMENT_HEADERS: Final = [
    {
        "name": VERSION_HEADER,
        "in": "header",
        "schema": {"type": "string"},
        "description": f"The same as {EXTENSION}.prompt_version; the body wins.",
    },
    {
        "name": ALIGN_HEADER,
        "in": "header",
        "schema": {"type": "boolean"},
        "description": f"The same as {EXTENSION}.align; the body wins.",
    },
]
PROMPT: Final = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "description": "A prompt version, a model, or a label of the model."},
        "version": {"type": ["string", "null"], "description": "Number of a version, or a label."},
        "variables": {"type": ["object", "null"], "description": "Texts for {{name}} in the prompt."},
    },
    "description": "A stored prompt in the form of OpenAI's prompt objects.",
}
"""The schema of a prompt object."""


def documentation(
    *,
    required: Sequence[str],
    properties: Mapping[str, object],
    example: Mapping[str, object],
    aligned: bool = True,
) -> dict[str, Any]:
    """A request, for FastAPI's ``openapi_extra``.

    Args:
        required: fields that have to be there.
        properties: fields that mean something to us, besides the model and those of alignment.
        example: a whole body.
        aligned: whether the request can be aligned and streamed.
    """
    model = {"type": "string", "description": "One of GET /v1/models."}
    ours: dict[str, object] = {"model": model, **properties}
    if aligned:
        ours["stream"] = {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": False}
        ours[EXTENSION] = AlignmentOptions.model_json_schema()
    schema = {
        "type": "object",
        "required": list(required),
        "properties": ours,
        "additionalProperties": True,
        "description": (
            "Every other field of OpenAI's API and every field that only the backend knows is passed on."
        ),
        "examples": [example],
    }
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"requestBody": body, "parameters": _ALIGNMENT_HEADERS} if aligned else {"requestBody": body}


def responses(
    answer: str,
    *,
    streams: bool = True,
    end: str = "end with [DONE]. A stream that breaks ends with an event that holds an error, without [DONE]",
) -> dict[int | str, dict[str, Any]]:
    """The answers, for FastAPI's ``responses``.

    Args:
        answer: what a good one is, such as ``A chat.completion``.
        streams: whether it can be a stream.
        end: how a stream ends.
    """
    whole = {"type": "object", "description": f"{answer}."}
    content: dict[str, Any] = {"application/json": {"schema": whole}}
    if streams:
        content["text/event-stream"] = {}
        answer = f"{answer}, or with stream=true server-sent events that {end}"
    good = {
        "description": f"{answer}.",
        "headers": _HEADERS,
        "content": content,
    }
    return {200: good, **_FAILURES}


def _header(description: str, **schema: object) -> dict[str, object]:
    return {"schema": schema or {"type": "string"}, "description": description}


_HEADERS: Final = {
    VERSION_HEADER: _header("The prompt version that aligned the answer; none for an unaligned one."),
    MODEL_HEADER: _header("The backend's name for the model that answered."),
    BACKEND_HEADER: _header("The backend that answered, where a model has several."),
    ATTEMPTS_HEADER: _header("Requests to backends that it took, where a model has several.", type="integer"),
    FALLBACK_HEADER: _header(
        "Whether a fallback has answered, where a model has several backends.", type="boolean"
    ),
    CACHE_HEADER: _header(
        "Whether a kept answer is given again, where a model's are kept.",
        type="string",
        enum=["hit", "miss"],
    ),
    DRAFTS_HEADER: _header("Drafts of the answer that came, where several were asked for.", type="integer"),
    PICKED_HEADER: _header(
        "Whether the judge has picked the draft, or it is the first.", type="string", enum=["judge", "first"]
    ),
}

_FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    400: {"description": "The request cannot be used; param names the field at fault."},
    401: {"description": "The API key is missing or wrong."},
    404: {"description": "There is no such model, prompt version or label."},
    429: {"description": "The backend asks for patience; see Retry-After."},
    502: {"description": "The backend sent what is no answer, or is misconfigured."},
    503: {"description": "The backend or the database cannot be reached."},
}

DOCUMENTATION: Final[dict[str, Any]] = documentation(
    required=("messages",),
    properties={"messages": {"type": "array", "minItems": 1, "items": _MESSAGE}, "prompt": PROMPT},
    example={"model": "simulated-chat", "messages": [{"role": "user", "content": "Hello"}]},
)
"""The chat endpoint's request; its model may be left out where ``prompt`` says which it is for."""
RESPONSES: Final = responses("The chat.completion")
"""The chat endpoint's answers."""
