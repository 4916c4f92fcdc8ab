"""A receiver of webhooks on a real port of loopback, which behaves as a test's script says."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.app.listening import listening

HANG = 0
"""In place of a status: no answer before the test releases it."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        """The id that all attempts at a message share."""
        return self.headers["webhook-id"]


@dataclass(kw_only=True)
class Receiver:
    """Answers 204 unless ``script`` says otherwise, one entry for each request."""

    url: str = ""
    script: deque[int] = field(default_factory=deque)
    said: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[Received] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        status = self.script.popleft() if self.script else 204
        async with self._arrived:
            self.requests.append(Received(path=request.url.path, headers=dict(request.headers), body=body))
            self._arrived.notify_all()
        if status == HANG:
            await self.released.wait()
            status = 204
        await Response(self.said, status_code=status, headers=self.headers)(scope, receive, send)

    async def got(self, count: int) -> list[Received]:
        """Wait until ``count`` requests have arrived; all of them."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests


@asynccontextmanager
async def receiver(*script: int) -> AsyncIterator[Receiver]:
    """A receiver that answers with these statuses, then with 204."""
    made = Receiver(script=deque(script))
    async with listening(made) as url:
        made.url = f"{url}/hook"
        try:
            yield made
        finally:
            made.released.set()
