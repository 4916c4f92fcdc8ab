"""On a clock that jumps: nothing is waited for."""

import asyncio

import pytest
from starlette.types import Message

from app.chat.keep_alive import COMMENT, KeepAlive
from tests.fakes.virtual_time import run_virtually


class Wire:
    """What was sent, and when."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, bytes]] = []
        self.blocked: asyncio.Event | None = None

    async def __call__(self, message: Message) -> None:
        assert message["type"] == "http.response.body"
        assert message["more_body"] is True
        self.sent.append((round(asyncio.get_running_loop().time(), 3), message["body"]))
        if self.blocked is not None:
            await self.blocked.wait()


def test_a_comment_stands_wherever_nothing_came_for_a_while() -> None:
    wire = Wire()

    async def stream() -> float:
        began = asyncio.get_running_loop().time()
        async with KeepAlive(wire, seconds=10) as pieces:
            await asyncio.sleep(4)
            await pieces.send(b"a")
            await asyncio.sleep(25)
            await pieces.send(b"b")
        await asyncio.sleep(100)
        return began

    began, _ = run_virtually(stream())
    assert [(at - began, piece) for at, piece in wire.sent] == [
        (4, b"a"),
        (14, COMMENT),
        (24, COMMENT),
        (29, b"b"),
    ]


def test_a_busy_stream_has_no_comments() -> None:
    wire = Wire()

    async def stream() -> None:
        async with KeepAlive(wire, seconds=10) as pieces:
            for _ in range(20):
                await asyncio.sleep(9)
                await pieces.send(b"a")

    run_virtually(stream())
    assert {piece for _, piece in wire.sent} == {b"a"}


@pytest.mark.parametrize("first", [True, False])
def test_a_client_that_does_not_read_is_sent_no_pile_of_comments(first: bool) -> None:
    wire = Wire()

    async def stream() -> None:
        wire.blocked = asyncio.Event()
        async with KeepAlive(wire, seconds=10) as pieces:
            piece = asyncio.ensure_future(pieces.send(b"a")) if first else None
            await asyncio.sleep(1000)
            wire.blocked.set()
            if piece is not None:
                await piece

    run_virtually(stream())
    assert [piece for _, piece in wire.sent] == [
        b"a" if first else COMMENT,
        *[COMMENT] * (len(wire.sent) - 1),
    ]
    assert len(wire.sent) <= 2


def test_a_client_that_is_gone_is_noticed_by_the_next_piece_alone() -> None:
    async def gone(message: Message) -> None:
        raise OSError("gone")

    async def stream() -> None:
        async with KeepAlive(gone, seconds=1) as pieces:
            await asyncio.sleep(5)
            with pytest.raises(OSError, match="gone"):
                await pieces.send(b"a")

    run_virtually(stream())
