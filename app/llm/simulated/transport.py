"""The simulated backend in process: an httpx transport in place of a network."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
from typing_extensions import override

from app.backend_settings import SimulatedSettings
from app.llm.simulated.backend import Reply, SimulatedBackend


class SimulatedTransport(httpx.AsyncBaseTransport):
    """Answers requests to any host as the simulated backend, with latency, faults and httpx's time-outs.

    Attributes:
        requests: requests received so far.
    """

    def __init__(self, settings: SimulatedSettings) -> None:
        self._backend = SimulatedBackend(settings)
        self.requests = 0

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer ``request``.

        Raises:
            httpx.ReadTimeout: the latency is longer than the request's read time-out.
            httpx.ReadError: the connection is lost, by an injected fault.
        """
        self.requests += 1
        arrived = time.monotonic()
        reply = self._backend.answer(request.method, request.url.path, await request.aread())
        patience = request.extensions.get("timeout", {}).get("read")
        await _wait(reply.delay, patience, request, since=arrived)
        if reply.status == 0:
            raise httpx.ReadError("simulated: the connection was lost", request=request)
        return httpx.Response(
            reply.status,
            headers=list(reply.headers),
            stream=_Frames(reply, patience, request),
            request=request,
        )


class _Frames(httpx.AsyncByteStream):
    """The body of a reply, piece by piece."""

    def __init__(self, reply: Reply, patience: float | None, request: httpx.Request) -> None:
        self._reply = reply
        self._patience = patience
        self._request = request

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for frame in self._reply.frames:
            yield frame
            await _wait(self._reply.frame_delay, self._patience, self._request)
        if self._reply.lost:
            raise httpx.RemoteProtocolError("simulated: the stream was cut", request=self._request)


async def _wait(
    seconds: float, patience: float | None, request: httpx.Request, *, since: float | None = None
) -> None:
    passed = 0.0 if since is None else time.monotonic() - since
    if patience is not None and seconds > patience:
        await asyncio.sleep(patience - passed)
        raise httpx.ReadTimeout("simulated: no answer in time", request=request)
    if seconds > passed:
        await asyncio.sleep(seconds - passed)
