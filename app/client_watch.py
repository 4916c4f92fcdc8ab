"""Hearing from the server when a client leaves, where it tells: to wait for that takes a task a request."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

_EXTENSION: Final = "drpo.client"
Leaving: TypeAlias = Callable[[], None]


class ClientWatch:
    """The client at the other end of one connection."""

    def __init__(self, read_on: Callable[[], None]) -> None:
        """A client that is there; ``read_on`` has it read from again: else nobody hears that it leaves."""
        self._read_on = read_on
        self._gone = False
        self._listeners: set[Leaving] = set()

    def listen(self, leaving: Leaving) -> None:
        """Call ``leaving`` when the client leaves; at once where it has gone."""
        if self._gone:
            leaving()
            return
        self._listeners.add(leaving)
        self._read_on()

    def forget(self, leaving: Leaving) -> None:
        """Whoever has listened does not want to know any more."""
        self._listeners.discard(leaving)

    def left(self) -> None:
        """The connection is closed."""
        self._gone = True
        listeners, self._listeners = self._listeners, set()
        for leaving in listeners:
            leaving()

    def extension(self) -> dict[str, Any]:
        """What of an ASGI scope's ``extensions`` lets ``client_of`` find this client."""
        return {_EXTENSION: self}


def client_of(scope: Mapping[str, Any]) -> ClientWatch | None:
    """The client behind the ASGI ``scope`` of a request; None where the server does not tell of it."""
    client: ClientWatch | None = (scope.get("extensions") or {}).get(_EXTENSION)
    return client
