import json

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from app.listening import Server, listen, running, url_of


async def _who(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    host = request.client.host if request.client else None
    await JSONResponse([host, request.url.scheme])(scope, receive, send)


async def test_a_proxy_on_this_machine_says_who_asks_and_without_one_the_connection_does() -> None:
    listener = await listen("127.0.0.1", 0, setting="server")
    async with running(Server(_who), listener), httpx.AsyncClient(base_url=url_of(listener)) as client:

        async def told(**headers: str) -> object:
            answer = await client.get(
                "/", headers={name.replace("_", "-"): headers[name] for name in headers}
            )
            return json.loads(answer.content)

        assert await told() == ["127.0.0.1", "http"]
        assert await told(x_forwarded_for="192.0.2.7", x_forwarded_proto="https") == ["192.0.2.7", "https"]
        assert await told(x_forwarded_proto="https") == ["127.0.0.1", "https"]
        assert await told(x_forwarded_for="192.0.2.8") == ["192.0.2.8", "http"]
    listener.close()
