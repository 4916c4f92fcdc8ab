"""From the chunks of a streamed chat completion to the numbered events of a streamed response."""

from app.responses.objects import ResponseFrame, ended_status, logprobs_of, told_text, usage_of
from app.responses.open_calls import OpenCalls
from app.responses.open_items import OpenCall, OpenItem, OpenReasoning, OpenText
from optimizer.types import JsonObject, JsonValue


class ResponseEvents:
    """The events of one response.

    Text and reasoning end where something else begins; calls of functions, whose pieces may come by turns,
    end with the response. Where that is cut short, so is the item that was written last.

    Attributes:
        has_choice: whether the model has answered anything, be it nothing but an end.
    """

    def __init__(self, frame: ResponseFrame) -> None:
        """The events of the response that ``frame`` describes."""
        self.has_choice = False
        self._frame = frame
        self._number = 0
        self._items: list[OpenItem] = []
        self._growing: OpenText | OpenReasoning | None = None
        self._calls = OpenCalls()
        self._last: OpenItem | None = None
        self._usage: JsonValue = None
        self._finish_reason: str | None = None

    def of_chunk(self, chunk: JsonObject) -> list[JsonObject]:
        """What one chunk adds; the first one begins the response."""
        events = [] if self._number else self._beginning()
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                events += self._of_choice(choice)
        return events

    def end(self) -> list[JsonObject]:
        """What ends the response, of which something has come."""
        status = ended_status(self._finish_reason)
        events: list[JsonObject] = []
        still_open = [] if self._growing is None else [self._growing]
        for item in (*still_open, *self._calls.opened):
            events += self._numbered(item, item.closing(status if item is self._last else "completed"))
        output = [item.whole() for item in self._items]
        response = self._frame.response(
            status, output, usage=usage_of(self._usage), finish_reason=self._finish_reason
        )
        return [*events, self._next({"type": f"response.{status}", "response": response})]

    def broken(self, error: JsonObject) -> JsonObject:
        """What ends a response that breaks with ``error``, the content of OpenAI's envelope.

        The error stands in it twice: as this API has it, and in the envelope, on which OpenAI's SDKs raise.
        """
        told = {name: error.get(name) for name in ("code", "message", "param")}
        return self._next({"type": "error", **told, "error": error})

    def _beginning(self) -> list[JsonObject]:
        response = self._frame.response("in_progress", ())
        return [
            self._next({"type": "response.created", "response": response}),
            self._next({"type": "response.in_progress", "response": response}),
        ]

    def _of_choice(self, choice: JsonObject) -> list[JsonObject]:
        self.has_choice = True
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._finish_reason = reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return []
        events = self._of_reasoning(told_text(delta, "reasoning_content", "reasoning"))
        events += self._of_text(told_text(delta, "content"), logprobs_of(choice), is_refusal=False)
        events += self._of_text(told_text(delta, "refusal"), [], is_refusal=True)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                events += self._of_call(call)
        return events

    def _of_reasoning(self, piece: str) -> list[JsonObject]:
        if not piece:
            return []
        events: list[JsonObject] = []
        item = self._growing
        if not isinstance(item, OpenReasoning):
            item = OpenReasoning(self._frame.item_id("rs", len(self._items)))
            events = self._open(item)
        self._last = item
        return events + self._numbered(item, [item.grown(piece)])

    def _of_text(self, piece: str, logprobs: list[JsonValue], *, is_refusal: bool) -> list[JsonObject]:
        if not piece:
            return []
        events: list[JsonObject] = []
        item = self._growing
        if not isinstance(item, OpenText) or item.is_refusal is not is_refusal:
            item = OpenText(self._frame.item_id("msg", len(self._items)), is_refusal=is_refusal)
            events = self._open(item)
        self._last = item
        return events + self._numbered(item, [item.grown(piece, logprobs)])

    def _of_call(self, call: JsonObject) -> list[JsonObject]:
        told = call.get("function")
        function = told if isinstance(told, dict) else {}
        index, told_id, name = call.get("index"), told_text(call, "id"), told_text(function, "name")
        events: list[JsonObject] = []
        item = self._calls.find(index, told_id, name)
        if item is None:
            item = OpenCall(self._frame.item_id("fc", len(self._items)), told_id=told_id, name=name)
            self._calls.add(item, index)
            events = self._close_growing()
            self._items.append(item)
            events += self._numbered(item, item.opening())
        self._last = item
        piece = told_text(function, "arguments")
        return events + (self._numbered(item, [item.grown(piece)]) if piece else [])

    def _open(self, item: OpenText | OpenReasoning) -> list[JsonObject]:
        events = self._close_growing()
        self._growing = item
        self._items.append(item)
        return events + self._numbered(item, item.opening())

    def _close_growing(self) -> list[JsonObject]:
        item, self._growing = self._growing, None
        return [] if item is None else self._numbered(item, item.closing())

    def _numbered(self, item: OpenItem, events: list[JsonObject]) -> list[JsonObject]:
        place = next(at for at, known in enumerate(self._items) if known is item)
        return [self._next({**event, "output_index": place}) for event in events]

    def _next(self, event: JsonObject) -> JsonObject:
        number, self._number = self._number, self._number + 1
        return {**event, "sequence_number": number}
