"""The backend over real HTTP on loopback."""

import httpx
import pytest

from app.backend_settings import SimulatedFaults, SimulatedSettings
from app.llm.simulated.server import serve
from app.llm.simulated.transport import SimulatedTransport
from tests.app.llm.simulated.messages import chat

BODY = chat("simulated-small", ("user", "Why does bread rise in the oven?"))


async def test_the_server_says_what_the_transport_says() -> None:
    settings = SimulatedSettings(seed=4)
    async with (
        serve(settings) as url,
        httpx.AsyncClient(base_url=url) as remote,
        httpx.AsyncClient(base_url=url, transport=SimulatedTransport(settings)) as local,
    ):
        for body in (BODY, {**BODY, "stream": True}, {**BODY, "model": "gpt-9"}):
            far = await remote.post("/chat/completions", json=body)
            near = await local.post("/chat/completions", json=body)
            assert (far.status_code, far.text) == (near.status_code, near.text)
            assert far.headers["content-type"] == near.headers["content-type"]
        assert (await remote.get("/models")).json()["object"] == "list"


async def test_a_broken_stream_never_ends_well() -> None:
    settings = SimulatedSettings(faults=SimulatedFaults(broken_stream=1))
    cut = ended = 0
    async with serve(settings) as url, httpx.AsyncClient(base_url=url) as client:
        for index in range(12):
            body = {**BODY, "stream": True, "user": str(index)}
            seen = ""
            try:
                async with client.stream("POST", "/chat/completions", json=body) as response:
                    async for text in response.aiter_text():
                        seen += text
                ended += 1
            except httpx.RemoteProtocolError:
                cut += 1
            assert "[DONE]" not in seen
    assert cut > 0
    assert ended > 0


async def test_a_lost_connection_gives_no_response() -> None:
    settings = SimulatedSettings(faults=SimulatedFaults(connection_lost=1))
    async with serve(settings) as url, httpx.AsyncClient(base_url=url) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/chat/completions", json=BODY)
