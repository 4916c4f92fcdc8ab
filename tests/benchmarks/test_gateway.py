"""The load generator of the gateway benchmark against its upstream, and against a peer before that."""

import pytest

from benchmarks.gateway_load import leave_streams, load, request_bytes
from benchmarks.gateway_services import running_module
from benchmarks.gateway_upstream import FLOOD_CHUNKS


@pytest.mark.parametrize("peer", [None, "fastapi+httpx", "starlette+aiohttp"])
async def test_every_request_is_answered_whole(peer: str | None) -> None:
    async with running_module("benchmarks.gateway_upstream") as upstream:
        if peer is None:
            await _check(upstream.url)
            return
        async with running_module("benchmarks.gateway_peers", peer, then=[upstream.url]) as place:
            await _check(place.url)


async def _check(url: str) -> None:
    whole = await load(url, request_bytes(url, "k", "fast", stream=False), connections=3, requests=10)
    assert len(whole.latencies) == 10
    assert whole.chunks == 0
    flood = await load(url, request_bytes(url, "k", "flood", stream=True), connections=2, requests=4)
    sent = 4 * (FLOOD_CHUNKS + 2)
    assert 0.95 * sent < flood.chunks <= sent  # a peer may cut a frame in two
    assert len(flood.first_tokens) == 4
    paced = await load(url, request_bytes(url, "k", "paced", stream=True), connections=1, requests=1)
    assert paced.delays
    assert min(paced.delays) >= 0
    await leave_streams(url, request_bytes(url, "k", "endless", stream=True), at_once=2, streams=4)


async def test_an_error_is_no_answer() -> None:
    async with running_module("benchmarks.gateway_upstream") as upstream:
        arguments = ("fastapi+httpx",)
        async with running_module("benchmarks.gateway_peers", *arguments, then=[upstream.url]) as place:
            request = request_bytes(place.url, "k", "fast", stream=False).replace(b"/v1/chat", b"/v2/chat")
            with pytest.raises(ExceptionGroup) as caught:
                await load(place.url, request, connections=1, requests=1)
            assert "404" in str(caught.value.exceptions[0])
