"""The fastest model there can be, in a process of its own: it looks at nothing but a request's model.

``python -m benchmarks.gateway_upstream PORT``. ``fast`` answers at once, ``slow`` after 50 ms; ``paced``
streams 100 chunks 10 ms apart, each with the time at which it was sent, ``flood`` 2,000 as fast as they are
taken, and ``endless`` streams until the client leaves.
"""

import asyncio
import re
import sys
import time
from typing import cast

import orjson
import uvloop
from typing_extensions import override

SLOW_SECONDS = 0.05
PACED_CHUNKS, PACE_SECONDS = 100, 0.01
FLOOD_CHUNKS, FLOOD_BATCH = 2000, 50
_MODEL = re.compile(rb'"model":\s*"([a-z]+)"')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _whole_answer() -> bytes:
    content = orjson.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "upstream",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "It is. " * 40},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 200, "completion_tokens": 80, "total_tokens": 280},
        }
    )
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


_ANSWER = _whole_answer()


def _chunk(text: str, *, finish: str | None = None) -> bytes:
    frame = orjson.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "upstream",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}],
        }
    )
    return _framed(b"data: " + frame + b"\n\n")


def _framed(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


_TAIL = _chunk("", finish="stop") + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class _Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._received = b""
        self._writable = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._writable.set()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    @override
    def pause_writing(self) -> None:
        self._writable.clear()

    @override
    def resume_writing(self) -> None:
        self._writable.set()

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(_HEAD_END)
        if end < 0:
            return
        length = _LENGTH.search(self._received, 0, end)
        whole = end + len(_HEAD_END) + (int(length[1]) if length else 0)
        if len(self._received) < whole:
            return
        body, self._received = self._received[end:whole], self._received[whole:]
        model = _MODEL.search(body)
        self._answer(model[1] if model else b"fast")

    def _answer(self, model: bytes) -> None:
        if model == b"fast":
            self._transport.write(_ANSWER)
        elif model == b"slow":
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._transport.write, _ANSWER)
        else:
            self._task = asyncio.get_running_loop().create_task(self._stream(model))

    async def _stream(self, model: bytes) -> None:
        self._transport.write(_STREAM_HEAD)
        if model == b"flood":
            batch = _chunk("word ") * FLOOD_BATCH
            for _ in range(FLOOD_CHUNKS // FLOOD_BATCH):
                await self._writable.wait()
                self._transport.write(batch)
                await asyncio.sleep(0)
        else:
            left = PACED_CHUNKS if model == b"paced" else sys.maxsize
            due = time.monotonic()
            for _ in range(left):
                await self._writable.wait()
                self._transport.write(_chunk(f"@{time.monotonic_ns()}@"))
                due += PACE_SECONDS
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        self._transport.write(_TAIL)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
