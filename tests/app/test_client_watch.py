"""Who hears from the server that a client leaves."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from app.chat.disconnects import ClientLeftError, while_client_listens
from app.client_watch import ClientWatch, client_of
from app.listening import Server, listen, running


class Waiting:
    """An application that reads a request and waits until its client has gone."""

    def __init__(self) -> None:
        self.read = asyncio.Event()
        self.told = asyncio.Event()
        self.length = 0

    async def __call__(self, scope: Scope, receive: Receive, _: Send) -> None:
        """Answer nothing."""
        more = True
        while more:
            message = await receive()
            self.length += len(message["body"])
            more = message["more_body"]
        self.read.set()
        client = client_of(scope)
        assert client is not None
        with pytest.raises(ClientLeftError):
            await while_client_listens(receive, asyncio.sleep(3600), client)
        late: list[None] = []
        client.listen(lambda: late.append(None))  # it has gone already
        assert late == [None]
        self.told.set()


@pytest.mark.parametrize("length", [2, 2**20])
async def test_the_server_tells_that_a_client_leaves_however_much_it_has_sent(length: int) -> None:
    waiting = Waiting()
    listener = await listen("127.0.0.1", 0, setting="server")
    async with running(Server(waiting), listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length + b"x" * length)
        await waiting.read.wait()
        assert waiting.length == length
        assert not waiting.told.is_set()
        writer.close()
        await waiting.told.wait()
    listener.close()


def test_nobody_is_told_who_does_not_want_to_know_any_more() -> None:
    told: list[str] = []
    client = ClientWatch(lambda: told.append("read on"))
    first, second = (lambda: told.append("first")), (lambda: told.append("second"))
    client.listen(first)
    client.listen(second)
    client.forget(first)
    client.left()
    client.left()
    assert told == ["read on", "read on", "second"]


def test_servers_need_not_tell() -> None:
    client = ClientWatch(lambda: None)
    assert client_of({"type": "http", "extensions": client.extension()}) is client
    assert client_of({"type": "http", "extensions": None}) is client_of({"type": "http"}) is None
