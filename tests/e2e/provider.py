"""The simulated backend in a process of its own, which counts what it is asked and can hold its answers.

``python -m tests.e2e.provider PORT``. ``GET /counts`` gives ``{"arrived", "answered"}``. ``POST /hold/N``
leaves every request from the N-th arrival on unanswered, until ``POST /release`` lets them go; ``GET /held``
answers as soon as one is held.
"""

import asyncio
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.backend_settings import SimulatedSettings
from app.llm.simulated.backend import SimulatedBackend
from app.llm.simulated.server import create_app


class Gate:
    """Counts and holds the requests to an application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._hold_from: int | None = None
        self._opened = asyncio.Event()
        self._held = asyncio.Event()
        self._arrived = 0
        self._answered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._arrived += 1
        if self._hold_from is not None and self._arrived >= self._hold_from:
            self._held.set()
            await self._opened.wait()
        await self._app(scope, receive, send)
        self._answered += 1

    async def counts(self, _: Request) -> JSONResponse:
        """What has come and gone."""
        return JSONResponse({"arrived": self._arrived, "answered": self._answered})

    async def hold(self, request: Request) -> JSONResponse:
        """Answer no request from the N-th on."""
        self._hold_from = int(request.path_params["number"])
        self._opened.clear()
        self._held.clear()
        return JSONResponse({})

    async def release(self, _: Request) -> JSONResponse:
        """Answer again."""
        self._hold_from = None
        self._opened.set()
        return JSONResponse({})

    async def held(self, _: Request) -> JSONResponse:
        """Wait until a request is held."""
        await self._held.wait()
        return JSONResponse({})


def main() -> None:
    """Serve until the process is ended."""
    gate = Gate(create_app(SimulatedBackend(SimulatedSettings())))
    app = Starlette(
        routes=[
            Route("/counts", gate.counts),
            Route("/hold/{number:int}", gate.hold, methods=["POST"]),
            Route("/release", gate.release, methods=["POST"]),
            Route("/held", gate.held),
            Mount("/", gate),
        ]
    )
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off"
    )


if __name__ == "__main__":
    main()
