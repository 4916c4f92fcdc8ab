"""Server-sent events, as bytes: cutting a stream into complete frames without looking into them."""

DONE = b"data: [DONE]\n\n"


class FrameSplitter:
    """Turns chunks, cut anywhere, into complete ``data: ...`` frames, each with its blank line.

    Comments and fields other than ``data`` are left out; any of SSE's line ends becomes a line feed.
    """

    def __init__(self) -> None:
        """A splitter at the beginning of a stream."""
        self._rest = b""
        self._carriage_return = False

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._rest)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that ``chunk`` completes."""
        if self._carriage_return:
            chunk = b"\r" + chunk
            self._carriage_return = False
        if b"\r" in chunk:
            if chunk.endswith(b"\r"):
                # Half of a line end, perhaps: the other half comes with the next chunk.
                self._carriage_return = True
                chunk = chunk[:-1]
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *blocks, self._rest = (self._rest + chunk).split(b"\n\n")
        return [frame for block in blocks if (frame := _frame(block))]

    def finish(self) -> list[bytes]:
        """What is left at the end of the stream: only a ``[DONE]`` counts without its blank line."""
        frame = _frame(self._rest)
        self._rest = b""
        return [frame] if frame == DONE else []


def payload(frame: bytes) -> bytes:
    """The data in ``frame``."""
    return b"\n".join(line[len(b"data:") :].strip() for line in frame.split(b"\n") if line)


def _frame(block: bytes) -> bytes:
    if block.startswith(b"data: ") and b"\n" not in block:
        return block + b"\n\n"
    lines = [line[len(b"data:") :].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
    if not lines:
        return b""
    return b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
