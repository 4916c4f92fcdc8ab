"""Answering HTTP until told to stop: a socket, uvicorn on it, and the signals that end it."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.client_watch import ClientWatch
from app.forwarded import Forwarded
from app.gathered_writes import gathering
from optimizer.errors import InvalidInputError

_SHUTDOWN_SECONDS = 5
_BACKLOG = 2048
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which sends fewer pieces, and tells as well when a client leaves.

    See ``app.gathered_writes`` and ``app.client_watch``.
    """

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(gathering(transport))
        self._client = ClientWatch(self.flow.resume_reading)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._client.left()

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._client.extension()


class Server(uvicorn.Server):
    """Tells when it listens, and leaves signals to its caller.

    uvicorn's own handling raises the signal again once it has stopped: the process would be killed before the
    resources are closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        """A server of the ASGI application ``app``."""
        super().__init__(_config(app))
        self.ready = asyncio.Event()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    @override
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def running(server: Server, listener: socket.socket) -> "AsyncIterator[asyncio.Task[None]]":
    """``server`` while the block runs; the task ends when the server does."""
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.ready.wait()
        yield serving
    finally:
        server.should_exit = True
        await serving


@contextlib.contextmanager
def stopped_by_signals(server: Server, on_stop: Callable[[], None]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM call ``on_stop`` and stop ``server``, the second end all at once.

    At once means as a kill does: jobs go on elsewhere when their leases have run out.
    """
    loop = asyncio.get_running_loop()
    is_stopping = False

    def stop(number: signal.Signals) -> None:
        nonlocal is_stopping
        if is_stopping:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        is_stopping = True
        on_stop()
        server.handle_exit(number, None)

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def listen(host: str, port: int, *, setting: str) -> socket.socket:
    """A bound socket: whether the address can be used is known before anything is served.

    Raises:
        InvalidInputError: it cannot; ``setting`` is the group of settings that names it.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family = min((item[0] for item in found), key=lambda kind: kind is not socket.AF_INET)
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InvalidInputError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; set another {setting}.host or "
            f"{setting}.port (--host, --port)",
            param=f"{setting}.port",
        ) from error


def url_of(listener: socket.socket) -> str:
    """The base URL at which ``listener`` is found."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(app: ASGIApp) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        interface="asgi3",
        proxy_headers=False,
        http=_Protocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    config.app = Forwarded(app, trusted=config.forwarded_allow_ips)
    return config
