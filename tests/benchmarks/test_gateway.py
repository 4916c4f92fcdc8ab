"""The load generator of the gateway benchmark against its upstream, and against a peer before that."""

import sys
from urllib.parse import urlsplit

import pytest

from benchmarks.gateway import installed_gateways
from benchmarks.gateway_load import leave_streams, load, request_bytes
from benchmarks.gateway_services import InstalledGateway, listens, running_gateway, running_module
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


async def test_an_installed_gateway_is_asked_with_its_headers_and_ends_with_all_that_it_has_started() -> None:
    serve = f"{sys.executable} -m benchmarks.gateway_peers starlette+aiohttp {{port}} {{upstream}}"
    gateway = InstalledGateway(command=f"sh -c '{serve} & wait'", headers=("x-to: {upstream}/v1",))
    async with running_module("benchmarks.gateway_upstream") as upstream:
        async with running_gateway(gateway, upstream.url) as place:
            request = place.request("fast", stream=False)
            assert f"\r\nx-to: {upstream.url}/v1\r\n".encode() in request
            answered = await load(place.url, request, connections=2, requests=4)
            assert len(answered.latencies) == 4
        while await listens(urlsplit(place.url).port or 0):  # until the system has ended what was killed
            pass


async def test_an_installed_gateway_that_does_not_start_says_why() -> None:
    gateway = InstalledGateway(command=f"{sys.executable} -c 'raise SystemExit(\"no such model\")'")
    with pytest.raises(RuntimeError, match="ended with 1 instead of listening: no such model"):
        async with running_gateway(gateway, "http://127.0.0.1:1"):
            pass


def test_options_name_installed_gateways() -> None:
    command = "gw --port={port} --to={upstream}"
    found = installed_gateways([f"one={command}", "two=other"], ["one=x-a: 1", "one=x-b: k=v"])
    assert found == {
        "one": InstalledGateway(command=command, headers=("x-a: 1", "x-b: k=v")),
        "two": InstalledGateway(command="other"),
    }


@pytest.mark.parametrize(
    ("peers", "headers", "told"),
    [
        (["gw"], [], "not NAME="),
        (["drpo=gw"], [], "there is a drpo already"),
        (["one=gw", "one=gw"], [], "there is a one already"),
        (["one=gw"], ["two=x-a: 1"], "a header for two, which is no --peer"),
    ],
)
def test_an_option_that_names_no_gateway_is_refused(peers: list[str], headers: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        installed_gateways(peers, headers)
