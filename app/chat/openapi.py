"""What ``/openapi.json`` says about the chat endpoint, which reads its body itself."""

from typing import Any, Final

from app.chat.headers import ALIGN_HEADER, MODEL_HEADER, VERSION_HEADER
from app.chat.reading import EXTENSION
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
_REQUEST: Final = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {"type": "string", "description": "One of GET /v1/models."},
        "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
        "stream": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": False},
        EXTENSION: AlignmentOptions.model_json_schema(),
    },
    "additionalProperties": True,
    "description": (
        "Every other field of the chat completions API (temperature, n, seed, stop, tools, ...) and every "
        "field that only the backend knows is passed on."
    ),
    "examples": [{"model": "simulated-chat", "messages": [{"role": "user", "content": "Hello"}]}],
}
_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}

DOCUMENTATION: Final[dict[str, Any]] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _REQUEST}}},
    "parameters": [
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
    ],
}
"""The request, for FastAPI's ``openapi_extra``."""


def _failure(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ERROR}}}


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "The completion, or with stream=true server-sent events that end with [DONE]. A stream that "
            "breaks ends with an event that holds an error, and without [DONE]."
        ),
        "headers": {
            VERSION_HEADER: {
                "schema": {"type": "string"},
                "description": "The prompt version that aligned the answer; none for an unaligned one.",
            },
            MODEL_HEADER: {
                "schema": {"type": "string"},
                "description": "The backend's name for the model that answered.",
            },
        },
        "content": {
            "application/json": {"schema": {"type": "object", "description": "A chat.completion."}},
            "text/event-stream": {"schema": {"type": "string"}},
        },
    },
    400: _failure("The request cannot be used; param names the field at fault."),
    401: _failure("The API key is missing or wrong."),
    404: _failure("There is no such model, prompt version or label."),
    429: _failure("The backend asks for patience; see Retry-After."),
    502: _failure("The backend sent what is no answer, or is misconfigured."),
    503: _failure("The backend or the database cannot be reached."),
}
"""The answers, for FastAPI's ``responses``."""
