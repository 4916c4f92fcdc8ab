"""What of an answer is sent together."""

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.gathered_writes import gathering
from app.listening import Server, listen, running

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Sent(asyncio.Transport):
    """What leaves, send by send."""

    def __init__(self) -> None:
        super().__init__({"socket": "one"})
        self.sends: list[bytes] = []

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sends.append(bytes(data))

    @override
    def writelines(self, list_of_data: "Sequence[bytes | bytearray | memoryview]") -> None:  # type: ignore[override]
        self.sends.append(b"".join(list_of_data))

    @override
    def close(self) -> None:
        self.sends.append(b"closed")

    @override
    def is_closing(self) -> bool:
        return self.sends[-1:] == [b"closed"]


async def test_a_head_leaves_with_what_follows_and_nothing_else_waits() -> None:
    sent = Sent()
    transport = gathering(sent)
    transport.write(HEAD)
    assert sent.sends == []
    transport.write(b"hi")
    transport.write(b"and more")
    await asyncio.sleep(0)
    assert sent.sends == [HEAD + b"hi", b"and more"]
    assert transport.get_extra_info("socket") == "one"


async def test_a_head_alone_leaves_before_anything_else_happens() -> None:
    sent = Sent()
    transport = gathering(sent)
    transport.write(HEAD)
    await asyncio.sleep(0)
    assert sent.sends == [HEAD]


async def test_nothing_is_lost_where_the_connection_is_closed() -> None:
    sent = Sent()
    transport = gathering(sent)
    transport.write(HEAD)
    assert not transport.is_closing()
    transport.close()
    await asyncio.sleep(0)
    assert sent.sends == [HEAD, b"closed"]
    assert transport.is_closing()


async def test_nothing_is_written_to_a_client_that_left_in_the_same_moment() -> None:
    sent = Sent()
    transport = gathering(sent)
    transport.write(HEAD)
    sent.close()
    await asyncio.sleep(0)
    assert sent.sends == [b"closed"]


async def test_the_server_sends_heads_of_answers_whose_body_comes_later_or_never() -> None:
    goes_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        status, headers = (204, []) if scope["path"] == "/none" else (200, [(b"content-length", b"2")])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if status == 200:
            await goes_on.wait()
        await send({"type": "http.response.body", "body": b"hi" if status == 200 else b""})

    listener = await listen("127.0.0.1", 0, setting="server")
    async with running(Server(app), listener):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        for path in (b"none", b"late", b"none"):
            writer.write(b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n" % path)
            head = await reader.readuntil(b"\r\n\r\n")
            if path == b"none":
                assert head.startswith(b"HTTP/1.1 204")
                continue
            assert b"content-length: 2" in head
            goes_on.set()
            assert await reader.readexactly(2) == b"hi"
        writer.close()
    listener.close()
