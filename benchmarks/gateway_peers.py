"""What a gateway costs that does nothing: the plainest pass-throughs there are, each in a process of its own.

``python -m benchmarks.gateway_peers NAME PORT UPSTREAM``: ``fastapi+httpx`` the way it is usually written,
and ``starlette+aiohttp``, which forwards bytes on the faster client.
"""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import httpx
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

_PATH = "/v1/chat/completions"
_JSON = {"content-type": "application/json"}


def fastapi_httpx(upstream: str) -> ASGIApp:
    """FastAPI and one ``httpx.AsyncClient``."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    client = httpx.AsyncClient(base_url=upstream, timeout=120, limits=limits, trust_env=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post(_PATH)
    async def forward(request: Request) -> Response:
        sent = client.build_request("POST", _PATH, content=await request.body(), headers=_JSON)
        answer = await client.send(sent, stream=True)
        media = answer.headers["content-type"]
        if media.startswith("application/json"):
            content = await answer.aread()
            await answer.aclose()
            return Response(content, answer.status_code, media_type=media)
        closing = BackgroundTask(answer.aclose)
        return StreamingResponse(answer.aiter_raw(), answer.status_code, media_type=media, background=closing)

    return app


def starlette_aiohttp(upstream: str) -> ASGIApp:
    """Starlette and one ``aiohttp.ClientSession``."""
    sessions: list[aiohttp.ClientSession] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(upstream, connector=connector) as session:
            sessions.append(session)
            yield

    async def forward(request: Request) -> Response:
        answer = await sessions[0].post(_PATH, data=await request.body(), headers=_JSON)
        media = answer.headers["content-type"]
        if media.startswith("application/json"):
            content = await answer.read()
            answer.release()
            return Response(content, answer.status, media_type=media)

        async def closing() -> AsyncIterator[bytes]:
            try:
                async for piece in answer.content.iter_any():
                    yield piece
            finally:
                answer.close()

        return StreamingResponse(closing(), answer.status, media_type=media)

    return Starlette(routes=[Route(_PATH, forward, methods=["POST"])], lifespan=lifespan)


PEERS: dict[str, Callable[[str], ASGIApp]] = {
    "fastapi+httpx": fastapi_httpx,
    "starlette+aiohttp": starlette_aiohttp,
}


if __name__ == "__main__":
    uvicorn.run(
        PEERS[sys.argv[1]](sys.argv[3]),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        log_level="error",
        access_log=False,
        timeout_keep_alive=600,
    )
