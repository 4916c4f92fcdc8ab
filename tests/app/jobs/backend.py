"""The simulated backend with a test's hand on it: count, hold, or replace what it says."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

import httpx
from typing_extensions import override

from app.llm.connections import TransportConnections
from app.resources import Resources

Replace: TypeAlias = Callable[[str, int, str], str | None]
"""From role, number of the request in that role (from 0) and the text to another text; None keeps it."""

_TASKS = {
    "# Task: improve a system prompt": "proposer",
    "# Task: select criteria": "selector",
    "# Task: score an answer": "judge",
    "# Task: find the faults of an answer": "example_judge",
    "# Task: improve an answer": "rewriter",
}


def role_of(body: dict[str, Any]) -> str:
    """Who was asked, from the request alone."""
    if "input" in body:
        return "embedder"
    messages = body.get("messages") or [{"role": "user", "content": ""}]
    return _TASKS.get(str(messages[0]["content"]).partition("\n")[0].strip(), "target")


class ScriptedTransport(httpx.AsyncBaseTransport):
    """Stands in front of a transport.

    Attributes:
        requests: requests that arrived, by role.
        replace: makes other texts of replies.
        hold_from: the number of the request (from 1) from which on no request is answered; None for none.
        held: set as soon as a request is held.
        opened: set it to let the held ones go on.
        in_flight: requests being answered.
        answered: requests that got their answer.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.requests: Counter[str] = Counter()
        self.replace: Replace | None = None
        self.hold_from: int | None = None
        self.held = asyncio.Event()
        self.opened = asyncio.Event()
        self.in_flight = 0
        self.answered = 0

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        role = role_of(json.loads(await request.aread()))
        number = self.requests[role]
        self.requests[role] += 1
        self.in_flight += 1
        try:
            if self.hold_from is not None and self.requests.total() >= self.hold_from:
                self.held.set()
                await self.opened.wait()
            response = await self._inner.handle_async_request(request)
            if self.replace is not None:
                response = await self._replaced(response, role, number)
            self.answered += 1
            return response
        finally:
            self.in_flight -= 1

    async def _replaced(self, response: httpx.Response, role: str, number: int) -> httpx.Response:
        assert self.replace is not None
        body = json.loads(await response.aread())
        for choice in body.get("choices", ()):
            said = choice["message"]["content"]
            text = self.replace(role, number, said)
            choice["message"]["content"] = said if text is None else text
        content = json.dumps(body).encode()  # with escapes, so that it holds any text
        return httpx.Response(response.status_code, content=content, request=response.request)


def script_backend(resources: Resources, backend: str = "simulated") -> ScriptedTransport:
    """Put a ``ScriptedTransport`` in front of what the service calls ``backend``."""
    client = resources.models._backends[backend].client
    assert isinstance(client.connections, TransportConnections)
    scripted = ScriptedTransport(client.connections.transport)
    client.connections.transport = scripted
    return scripted
