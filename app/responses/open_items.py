"""The items of a response's output while they are being written: each knows the events of its life."""

from typing import Protocol

from typing_extensions import override

from app.responses.objects import (
    EndStatus,
    Status,
    call_item,
    message_item,
    reasoning_item,
    refusal_part,
    text_part,
)
from optimizer.types import JsonObject, JsonValue


class OpenItem(Protocol):
    """An item that grows. Events lack ``sequence_number`` and ``output_index``, which the stream adds."""

    def opening(self) -> list[JsonObject]:
        """The events with which it begins."""
        ...

    def closing(self, status: EndStatus = "completed") -> list[JsonObject]:
        """The events with which it ends, whole or cut short."""
        ...

    def whole(self) -> JsonObject:
        """The item as it is now."""
        ...


class OpenText(OpenItem):
    """A message: a text or a refusal."""

    def __init__(self, item_id: str, *, is_refusal: bool) -> None:
        """One without a word yet."""
        self.is_refusal = is_refusal
        self._id = item_id
        self._pieces: list[str] = []
        self._status: Status = "in_progress"
        self._logprobs: list[JsonValue] = []

    @override
    def opening(self) -> list[JsonObject]:
        part = refusal_part("") if self.is_refusal else text_part("")
        return [
            {"type": "response.output_item.added", "item": message_item(self._id, (), "in_progress")},
            self._of_part("response.content_part.added", part=part),
        ]

    def grown(self, piece: str, logprobs: list[JsonValue]) -> JsonObject:
        """The event of one more piece."""
        self._pieces.append(piece)
        self._logprobs += logprobs
        if self.is_refusal:
            return self._of_part("response.refusal.delta", delta=piece)
        return self._of_part("response.output_text.delta", delta=piece, logprobs=logprobs)

    @override
    def closing(self, status: EndStatus = "completed") -> list[JsonObject]:
        self._status = status
        text = "".join(self._pieces)
        if self.is_refusal:
            done = self._of_part("response.refusal.done", refusal=text)
        else:
            done = self._of_part("response.output_text.done", text=text, logprobs=self._logprobs)
        return [
            done,
            self._of_part("response.content_part.done", part=self._part()),
            {"type": "response.output_item.done", "item": self.whole()},
        ]

    @override
    def whole(self) -> JsonObject:
        return message_item(self._id, (self._part(),), self._status)

    def _part(self) -> JsonObject:
        text = "".join(self._pieces)
        return refusal_part(text) if self.is_refusal else text_part(text, self._logprobs)

    def _of_part(self, kind: str, **fields: JsonValue) -> JsonObject:
        return {"type": kind, "item_id": self._id, "content_index": 0, **fields}


class OpenReasoning(OpenItem):
    """What the model thinks."""

    def __init__(self, item_id: str) -> None:
        """One without a word yet."""
        self._id = item_id
        self._pieces: list[str] = []
        self._status: Status = "in_progress"

    @override
    def opening(self) -> list[JsonObject]:
        item = reasoning_item(self._id, "", "in_progress")
        return [{"type": "response.output_item.added", "item": item}]

    def grown(self, piece: str) -> JsonObject:
        """The event of one more piece."""
        self._pieces.append(piece)
        return self._of_text("response.reasoning_text.delta", delta=piece)

    @override
    def closing(self, status: EndStatus = "completed") -> list[JsonObject]:
        self._status = status
        return [
            self._of_text("response.reasoning_text.done", text="".join(self._pieces)),
            {"type": "response.output_item.done", "item": self.whole()},
        ]

    @override
    def whole(self) -> JsonObject:
        return reasoning_item(self._id, "".join(self._pieces), self._status)

    def _of_text(self, kind: str, **fields: JsonValue) -> JsonObject:
        return {"type": kind, "item_id": self._id, "content_index": 0, **fields}


class OpenCall(OpenItem):
    """A call of a function."""

    def __init__(self, item_id: str, *, told_id: str, name: str) -> None:
        """A call of ``name`` without arguments yet; ``told_id`` is the backend's id of it, if any."""
        self.told_id = told_id
        self._id = item_id
        self._call_id = told_id or item_id
        self._name = name
        self._pieces: list[str] = []
        self._status: Status = "in_progress"

    @override
    def opening(self) -> list[JsonObject]:
        item = call_item(self._id, call_id=self._call_id, name=self._name, arguments="", status="in_progress")
        return [{"type": "response.output_item.added", "item": item}]

    def grown(self, piece: str) -> JsonObject:
        """The event of one more piece of its arguments."""
        self._pieces.append(piece)
        return {"type": "response.function_call_arguments.delta", "item_id": self._id, "delta": piece}

    @override
    def closing(self, status: EndStatus = "completed") -> list[JsonObject]:
        self._status = status
        done: JsonObject = {
            "type": "response.function_call_arguments.done",
            "item_id": self._id,
            "name": self._name,
            "arguments": "".join(self._pieces),
        }
        return [done, {"type": "response.output_item.done", "item": self.whole()}]

    @override
    def whole(self) -> JsonObject:
        return call_item(
            self._id,
            call_id=self._call_id,
            name=self._name,
            arguments="".join(self._pieces),
            status=self._status,
        )
