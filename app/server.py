"""Running the service: resources first, then the API on top of them, so that failures are clear."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import uvicorn
import uvloop
from fastapi import FastAPI
from threadpoolctl import threadpool_limits
from typing_extensions import override

from app.main import create_app
from app.resources import Resources, open_resources
from app.settings import Settings
from optimizer.errors import InvalidInputError

T = TypeVar("T")

_SHUTDOWN_SECONDS = 5
_BACKLOG = 2048
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """Tells when it listens, and leaves signals to its caller.

    uvicorn's own handling raises the signal again once it has stopped: the process would be killed before the
    resources are closed.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end on uvloop, which needs less CPU per call than asyncio's own loop.

    Matrices here are small: more than one thread for each would only have them wait for each other.
    """
    with (
        threadpool_limits(limits=1, user_api="blas"),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(work)


async def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Serve API and jobs until SIGINT or SIGTERM; requests under way get a few seconds to end.

    Args:
        settings: where to listen, and everything else.
        on_ready: told the base URL as soon as the service listens.

    Raises:
        InvalidInputError: the settings, the address or the store cannot be used; the message says what to
            change.
    """
    async with open_resources(settings) as resources:
        with await _listen(settings.server.host, settings.server.port) as listener:
            server = _Server(_config(_settled_app(resources)))
            with _stopped_by_signals(server):
                async with _running(server, listener) as serving:
                    on_ready(_url(listener))
                    await asyncio.wait([serving])  # unlike awaiting it, this does not cancel it with us


@contextlib.asynccontextmanager
async def embedded_service(settings: Settings) -> AsyncIterator[str]:
    """Serve on a free loopback port while the block runs; gives the base URL.

    Raises:
        InvalidInputError: the settings or the store cannot be used.
    """
    async with open_resources(settings) as resources:
        with await _listen("127.0.0.1", 0) as listener:
            async with _running(_Server(_config(_settled_app(resources))), listener):
                yield _url(listener)


@contextlib.asynccontextmanager
async def _running(server: _Server, listener: socket.socket) -> "AsyncIterator[asyncio.Task[None]]":
    """``server`` while the block runs; the task ends when the server does."""
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.ready.wait()
        yield serving
    finally:
        server.should_exit = True
        await serving


@contextlib.contextmanager
def _stopped_by_signals(server: _Server) -> Iterator[None]:
    """Let the first signal stop ``server`` in peace, and a second SIGINT at once."""
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, server.handle_exit, number, None)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _listen(host: str, port: int) -> socket.socket:
    """A bound socket: whether the address can be used is known before anything is served."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family = min((item[0] for item in found), key=lambda kind: kind is not socket.AF_INET)
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InvalidInputError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; set another server.host or "
            "server.port (--host, --port)",
            param="server.port",
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _settled_app(resources: Resources) -> FastAPI:
    """The application, with all that was loaded for it taken out of garbage collection.

    What is loaded stays for ever; walking through it held the loop for 0.2 s now and then.
    """
    app = create_app(resources)
    gc.collect()
    gc.freeze()
    return app


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn's own ASGI types are narrower than Starlette's
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
