"""What ``/openapi.json`` says about errors: the same envelope everywhere, and which statuses there are."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from typing_extensions import override

ENVELOPE: Final = "Error"
"""The name of the envelope among the document's schemas."""

_PROTECTED: Final = "/v1/"
_UNUSED: Final = ("HTTPValidationError", "ValidationError")  # the framework's own form of a refusal
_SCHEMA: Final = {
    "type": "object",
    "title": ENVELOPE,
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "additionalProperties": False,
            "properties": {
                "message": {"type": "string", "description": "What to change, or what went wrong."},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The field at fault."},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_CONTENT: Final = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ENVELOPE}"}}}
_DESCRIPTIONS: Final[Mapping[int, str]] = {
    400: "The request cannot be used; param names the field at fault.",
    401: "The API key is missing or wrong.",
    403: "The API key may not do that, or a web page from elsewhere asks a service without keys.",
    404: "Something that the request names does not exist, or not for this API key.",
    409: "It cannot be done now; the message says what is possible.",
    410: "What it takes was deleted.",
    413: "The body is too large.",
    422: "The parts of the request contradict each other or an earlier request with its Idempotency-Key.",
    500: "A bug; the message holds the request id under which it was logged.",
    503: "The database cannot be reached.",
}


class DocumentedApi(FastAPI):
    """An application whose document says how it refuses."""

    @override
    def openapi(self) -> dict[str, Any]:
        """The document; it is made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for name in _UNUSED:
                schemas.pop(name, None)
            schemas[ENVELOPE] = _SCHEMA
            for path, operations in document["paths"].items():
                if path.startswith(_PROTECTED):
                    for method, operation in operations.items():
                        operation["responses"] = _with_errors(path, method, operation)
        return super().openapi()


def _with_errors(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    """The responses of an operation with all its errors, in order."""
    told = {status: dict(response) for status, response in operation["responses"].items() if status != "422"}
    for status in _statuses(path, method, operation):
        told.setdefault(str(status), {"description": _DESCRIPTIONS[status]})
    for status, response in told.items():
        if int(status) >= 400:  # noqa: PLR2004 - where errors begin
            response["content"] = _CONTENT
    return dict(sorted(told.items()))


def _statuses(path: str, method: str, operation: Mapping[str, Any]) -> set[int]:
    """The errors that follow from what an operation takes."""
    statuses = {401, 403, 500, 503}
    parameters = operation.get("parameters", ())
    if parameters:
        statuses |= {400, 404}
    if "requestBody" in operation:
        statuses |= {400, 404, 413}
    if method != "get" and "serve" not in str(operation.get("security")):
        statuses.add(409)
    if any(parameter["name"].lower() == "idempotency-key" for parameter in parameters) or method == "patch":
        statuses.add(422)
    if path.endswith(("/replay", "/restart")):
        statuses.add(410)
    return statuses
