"""A simulated provider in a process of its own that remembers when each call began and ended.

``python -m benchmarks.provider PORT LATENCY_MS``; ``GET /timings`` gives ``[[begin, end], ...]`` in seconds.
"""

import sys
import time

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from app.backend_settings import SimulatedSettings
from app.llm.simulated.backend import Reply, SimulatedBackend
from app.llm.simulated.server import create_app


class RememberingBackend(SimulatedBackend):
    """Answers an equal request with an equal reply, and without computing it again.

    A real provider thinks on machines of its own; what ours takes of this one would be measured.
    """

    def __init__(self, settings: SimulatedSettings) -> None:
        super().__init__(settings)
        self._replies: dict[tuple[str, str, bytes], Reply] = {}

    @override
    def answer(self, method: str, path: str, body: bytes) -> Reply:
        request = method, path, body
        if request not in self._replies:
            self._replies[request] = super().answer(method, path, body)
        return self._replies[request]


class TimedProvider:
    """Notes the time of each POST."""

    def __init__(self, app: ASGIApp) -> None:
        """Time the calls to ``app``."""
        self._app = app
        self._timings: list[tuple[float, float]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and scope["path"] == "/timings":
            await JSONResponse(self._timings)(scope, receive, send)
            return
        began = time.monotonic()
        await self._app(scope, receive, send)
        if scope.get("method") == "POST":
            self._timings.append((began, time.monotonic()))


def main() -> None:
    """Serve until the process is ended."""
    port, latency_ms = int(sys.argv[1]), float(sys.argv[2])
    provider = TimedProvider(create_app(RememberingBackend(SimulatedSettings(latency_ms=latency_ms))))
    uvicorn.run(
        provider,
        host="127.0.0.1",
        port=port,
        log_level="error",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=600,  # a slow client's idle connections must not be closed under its hands
    )


if __name__ == "__main__":
    main()
