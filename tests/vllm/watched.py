"""What a service sends to a backend and which of it is answered, seen from the service's own side."""

import asyncio
from collections.abc import Callable, Mapping

from typing_extensions import override
from yarl import URL

from app.llm.connections import BackendResponse, Connections
from app.resources import Resources
from tests.vllm.whole_response import WholeResponse


class Watched(Connections):
    """Stands in front of a backend's connections.

    Attributes:
        sent: bodies in the order in which they left.
        answered: those that got a whole answer with status 200.
        lost: those that got none.
    """

    def __init__(self, carrier: Connections) -> None:
        """Requests by ``carrier``."""
        self.sent: list[bytes] = []
        self.answered: list[bytes] = []
        self.lost: list[bytes] = []
        self._carrier = carrier
        self._changed = asyncio.Condition()

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answer."""
        return len(self.sent) - len(self.answered) - len(self.lost)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something has been sent or answered after which ``holds()``."""
        async with self._changed:
            await self._changed.wait_for(holds)

    @override
    async def post(self, url: URL, headers: Mapping[str, str], content: bytes) -> BackendResponse:
        await self._note(self.sent, content)
        try:
            response = await self._carrier.post(url, headers, content)
            try:
                body = b"".join([piece async for piece in response.pieces()])
            finally:
                await response.aclose()
        except BaseException:
            await self._note(self.lost, content)
            raise
        await self._note(self.answered if response.status == 200 else self.lost, content)
        return WholeResponse(response.status, response.headers, body)

    @override
    async def aclose(self) -> None:
        await self._carrier.aclose()

    async def _note(self, where: list[bytes], content: bytes) -> None:
        where.append(content)
        async with self._changed:
            self._changed.notify_all()


def watch(resources: Resources, backend: str) -> Watched:
    """Put a ``Watched`` in front of what the service calls ``backend``."""
    client = resources.models._backends[backend].client
    client.connections = Watched(client.connections)
    return client.connections
