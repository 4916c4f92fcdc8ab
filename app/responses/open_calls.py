"""Which call of a function a piece of a stream belongs to."""

from app.responses.open_items import OpenCall
from optimizer.types import JsonValue


class OpenCalls:
    """The calls of one response, in the order in which they began.

    Backends mostly number them. Some number each as 0, with an id of its own, some give an id alone, and some
    nothing at all after a call's first piece.

    Attributes:
        opened: all of them.
    """

    def __init__(self) -> None:
        """None yet."""
        self.opened: list[OpenCall] = []
        self._at: dict[int, OpenCall] = {}
        self._last: OpenCall | None = None

    def find(self, index: JsonValue, told_id: str, name: str) -> OpenCall | None:
        """The call that a piece belongs to, which becomes the last one; None where it begins another.

        An id that differs from that of the call at ``index`` begins another if it comes with a name: some
        backends make an id up for every piece.
        """
        found: OpenCall | None = None
        if isinstance(index, int):
            found = self._at.get(index)
            if found is not None and name and told_id not in {"", found.told_id}:
                found = self._called(told_id)
        elif told_id:
            found = self._called(told_id)
        else:
            found = self._last
        self._last = found or self._last
        return found

    def add(self, call: OpenCall, index: JsonValue) -> None:
        """One that has just begun, at ``index`` from now on, where it has one."""
        self.opened.append(call)
        self._last = call
        if isinstance(index, int):
            self._at[index] = call

    def _called(self, told_id: str) -> OpenCall | None:
        return next((call for call in self.opened if call.told_id == told_id), None)
