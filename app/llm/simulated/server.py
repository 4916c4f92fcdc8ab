"""The simulated backend as a small ASGI application, for real HTTP on loopback."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from typing_extensions import override

from app.backend_settings import SimulatedSettings
from app.llm.simulated.backend import Reply, SimulatedBackend


class ConnectionCut(Exception):  # noqa: N818 - an event of the simulation, not a mistake
    """Raised into the server so that it drops the connection, as the injected fault wants."""


def create_app(backend: SimulatedBackend) -> Starlette:
    """The backend as an ASGI application; its paths may have any prefix."""
    working = asyncio.Lock()

    async def answer(request: Request) -> Response:
        arrived, body = time.monotonic(), await request.body()
        async with working:  # one at a time, and between two of them others may arrive and be timed
            reply = backend.answer(request.method, request.url.path, body)
            await asyncio.sleep(0)
        await asyncio.sleep(reply.delay - (time.monotonic() - arrived))
        if reply.status == 0:
            # A length that never arrives: the client sees the connection end.
            return StreamingResponse(_frames(reply), headers={"content-length": "1"})
        if len(reply.frames) == 1 and not reply.lost:
            return Response(reply.frames[0], reply.status, dict(reply.headers))
        return StreamingResponse(_frames(reply), reply.status, dict(reply.headers))

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])


@contextlib.asynccontextmanager
async def serve(settings: SimulatedSettings) -> AsyncIterator[str]:
    """Serve the backend on a free port of the loopback interface while the block runs.

    Yields:
        Its base URL, ``/v1`` included.
    """
    config = uvicorn.Config(
        create_app(SimulatedBackend(settings)), log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = _QuietServer(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            await running


class _QuietServer(uvicorn.Server):
    """Leaves the signals to the program that it runs in."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _frames(reply: Reply) -> AsyncIterator[bytes]:
    for frame in reply.frames:
        yield frame
        await asyncio.sleep(reply.frame_delay)
    if reply.lost:
        raise ConnectionCut
