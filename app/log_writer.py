"""Writing lines of the log from a thread: whoever reads them slowly, or not at all, stops nobody."""

import logging
import threading
from queue import SimpleQueue
from typing import Final, TextIO

from typing_extensions import override

_MOST_WAITING: Final = 10_000
"""Lines; those beyond them are counted and lost."""
_LAST_SECONDS: Final = 2.0


class LineWriter(logging.Handler):
    """Writes what is logged to a stream, in order, without having the caller wait for it."""

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream``, which stays open."""
        super().__init__()
        self._stream = stream
        self._lines: SimpleQueue[str | threading.Event | None] = SimpleQueue()
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._thread.start()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if self._lines.qsize() >= _MOST_WAITING:
            self._lost += 1
            return
        try:
            line = self.format(record)
            if self._lost:
                lost, self._lost = self._lost, 0
                told = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"}
                note = logging.makeLogRecord({**told, "msg": f"{lost} lines of the log were lost"})
                self._lines.put(self.format(note))
        except Exception:  # noqa: BLE001 - logging's own way: a line that cannot be written stops nobody
            self.handleError(record)
        else:
            self._lines.put(line)

    @override
    def flush(self) -> None:
        """Wait until what was logged is written, for two seconds at most."""
        if self._thread.is_alive():
            written = threading.Event()
            self._lines.put(written)
            written.wait(_LAST_SECONDS)

    @override
    def close(self) -> None:
        """Write what is left and stop, in two seconds at most."""
        self._lines.put(None)
        self._thread.join(_LAST_SECONDS)
        super().close()

    def _write(self) -> None:
        while (item := self._lines.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._stream.write(f"{item}\n")
                self._stream.flush()
            except (OSError, ValueError):  # whoever read it is gone
                self._lost += 1
