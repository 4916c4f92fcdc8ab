"""The simulated backend in a process of its own, which counts what it is asked and can hold its answers.

``python -m tests.e2e.provider PORT [LATENCY_MS]``. ``GET /counts`` gives ``arrived``, ``answered``,
``repeated`` and ``by_key``: calls of models, those that got their answer, those that had come before word
for word, and calls by the API key that they came with. What only looks (GET) is no call and not counted.
``POST /hold/N`` leaves every call from the N-th arrival on unanswered, until ``POST /release`` lets them go;
``GET /held`` answers as soon as one is held.
"""

import asyncio
import hashlib
import sys
from collections import Counter

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
        self._bodies: Counter[bytes] = Counter()
        self._by_key: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        self._arrived += 1
        self._by_key[Headers(scope=scope).get("authorization", "").removeprefix("Bearer ")] += 1
        body = await Request(scope, receive).body()
        self._bodies[hashlib.sha256(body).digest()] += 1
        if self._hold_from is not None and self._arrived >= self._hold_from:
            self._held.set()
            await self._opened.wait()
        await self._app(scope, _once(body, receive), send)
        self._answered += 1

    async def counts(self, _: Request) -> JSONResponse:
        """What has come and gone."""
        return JSONResponse(
            {
                "arrived": self._arrived,
                "answered": self._answered,
                "repeated": self._bodies.total() - len(self._bodies),
                "by_key": self._by_key,
            }
        )

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


def _once(body: bytes, receive: Receive) -> Receive:
    """``receive`` of a request whose body was read already."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def main() -> None:
    """Serve until the process is ended."""
    latency_ms = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    gate = Gate(create_app(SimulatedBackend(SimulatedSettings(latency_ms=latency_ms))))
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
