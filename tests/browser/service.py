"""The service on the simulated backend, on a port of loopback, with jobs that run."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.listening import Server, listen, running, url_of
from app.main import create_app
from app.resources import Resources, open_resources
from app.settings import Settings

TARGET = "simulated-small"
HOSTILE = (
    "</div><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> & <b>b</b>"
)
Wrap = Callable[[ASGIApp], ASGIApp]


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """The service, and a client that may do everything."""

    url: str
    client: httpx.AsyncClient
    resources: Resources

    async def queue(self, **fields: Any) -> str:
        """Queue a job; gives its id."""
        body = {"target": TARGET, "held_out": 10, "budget": {"calls": 150}, **fields}
        made = await self.client.post("/v1/optimizations", json=body)
        assert made.status_code == 202, made.text
        return str(made.json()["id"])

    async def read(self, path: str) -> Any:
        """What the API answers."""
        found = await self.client.get(path)
        assert found.status_code == 200, found.text
        return found.json()


@asynccontextmanager
async def running_service(
    database_url: str, *, key: str | None = None, wrap: Wrap = lambda app: app, **groups: Any
) -> AsyncIterator[Running]:
    """Serve on ``database_url``; with ``key`` it is asked for, ``wrap`` stands before the application."""
    server = {} if key is None else {"api_key": key}
    settings = Settings.model_validate({"database": {"url": database_url}, "server": server, **groups})
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with open_resources(settings) as resources:
        with await listen("127.0.0.1", 0, setting="server") as listener:
            async with (
                running(Server(wrap(create_app(resources))), listener),
                httpx.AsyncClient(base_url=url_of(listener), headers=headers, trust_env=False) as client,
            ):
                yield Running(url=url_of(listener), client=client, resources=resources)


class CutStreams:
    """Breaks off every event stream after some pieces, as a bad connection does."""

    def __init__(self, app: ASGIApp, *, pieces: int) -> None:
        """Stand in front of ``app``."""
        self._app = app
        self._pieces = pieces
        self.cut = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or not scope["path"].endswith("/events"):
            await self._app(scope, receive, send)
            return
        left = self._pieces

        async def send_some(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.body":
                left -= 1
                if left < 0:
                    self.cut += 1
                    raise ConnectionResetError("cut by the test")
            await send(message)

        await self._app(scope, receive, send_some)
