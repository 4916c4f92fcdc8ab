"""Server-sent events, as bytes: cutting a stream into complete frames without looking into them."""

DONE = b"data: [DONE]\n\n"


class FrameSplitter:
    """Turns chunks, cut anywhere, into complete ``data: ...`` frames, each with its blank line.

    Comments and fields other than ``data`` are left out; any of SSE's line ends becomes a line feed. The time
    it takes grows with the stream's length alone, however small the pieces are in which a frame comes.
    """

    def __init__(self) -> None:
        """A splitter at the beginning of a stream."""
        self._pieces: list[bytes] = []
        self._pending = 0
        self._carriage_return = False

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return self._pending

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
        if not chunk:
            return []
        if not self._ends_a_frame(chunk):
            self._hold(chunk)
            return []
        *blocks, rest = (b"".join(self._pieces) + chunk).split(b"\n\n")
        self._drop()
        if rest:
            self._hold(rest)
        return [frame for block in blocks if (frame := _frame(block))]

    def finish(self) -> list[bytes]:
        """What is left at the end of the stream: only a ``[DONE]`` counts without its blank line."""
        frame = _frame(b"".join(self._pieces))
        self._drop()
        return [frame] if frame == DONE else []

    def _ends_a_frame(self, chunk: bytes) -> bool:
        if b"\n\n" in chunk:
            return True
        return chunk.startswith(b"\n") and bool(self._pieces) and self._pieces[-1].endswith(b"\n")

    def _hold(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._pending += len(piece)

    def _drop(self) -> None:
        self._pieces.clear()
        self._pending = 0


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
