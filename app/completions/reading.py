"""Reading a request for plain completions: as little as has to be understood."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.chat.fields import EXTENSION, read_model, read_object, read_options, read_stream
from app.chat.inputs import check_texts
from app.chat.schemas import AlignmentOptions
from app.errors import invalid_request
from optimizer.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionsRequest:
    """A request for plain completions.

    Attributes:
        model: the target asked for.
        stream: whether the answer is streamed.
        options: how to align it; None leaves the text as it is.
        body: the whole body without our extension.
    """

    model: str
    stream: bool
    options: AlignmentOptions | None
    body: JsonObject


def read_request(content: bytes, headers: Mapping[str, str]) -> CompletionsRequest:
    """The request in a body and its headers.

    A text to be completed is aligned where the request says so (``"align": true``, a label or a version):
    it may well have a form of its own, which ours would break.

    Raises:
        ApiError: 400, with the field at fault.
    """
    body = read_object(content)
    extension = body.pop(EXTENSION, None)
    options = read_options(extension, headers)
    if options.best_of not in {None, 1}:
        raise invalid_request(
            "only answers of chat are chosen from several drafts: leave out drpo.best_of",
            param="drpo.best_of",
        )
    named = options.model_fields_set & {"align", "label", "prompt_version"}
    check_texts(body.get("prompt"), field="prompt")
    return CompletionsRequest(
        model=read_model(body.get("model")),
        stream=read_stream(body.get("stream")),
        options=options if named and options.align is not False else None,
        body=body,
    )
