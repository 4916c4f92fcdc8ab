"""Writing lines of the log from a thread: whoever reads them slowly, or not at all, stops nobody."""

import logging
import threading
from collections import deque
from typing import Final, TextIO

from typing_extensions import override

_MOST_WAITING: Final = 10_000
"""Lines; those beyond them are counted and lost."""
_LAST_SECONDS: Final = 2.0
_GATHER_SECONDS: Final = 0.05
"""How long lines are gathered before they are written together: waking the thread for each costs the loop."""


class LineWriter(logging.Handler):
    """Writes what is logged to a stream, in order, without having the caller wait for it."""

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream``, which stays open."""
        super().__init__()
        self._stream = stream
        self._waiting: deque[str | threading.Event] = deque()
        self._due, self._hurry = threading.Event(), threading.Event()
        self._closed = False
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._thread.start()

    @override
    def handle(self, record: logging.LogRecord) -> bool:
        # without the lock that handlers have: a deque takes lines from several threads as it is
        is_wanted = self.filter(record)
        if is_wanted:
            self.emit(record)
        return is_wanted

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._lost += 1
            return
        try:
            line = self.format(record)
            if self._lost:
                lost, self._lost = self._lost, 0
                told = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING"}
                note = logging.makeLogRecord({**told, "msg": f"{lost} lines of the log were lost"})
                self._waiting.append(self.format(note))
        except Exception:  # noqa: BLE001 - logging's own way: a line that cannot be written stops nobody
            self.handleError(record)
        else:
            self._waiting.append(line)
            if not self._due.is_set():
                self._due.set()

    @override
    def flush(self) -> None:
        """Wait until what was logged is written, for two seconds at most."""
        if self._thread.is_alive():
            written = threading.Event()
            self._waiting.append(written)
            self._write_now()
            written.wait(_LAST_SECONDS)

    @override
    def close(self) -> None:
        """Write what is left and stop, in two seconds at most."""
        self._closed = True
        self._write_now()
        self._thread.join(_LAST_SECONDS)
        super().close()

    def _write_now(self) -> None:
        self._hurry.set()
        self._due.set()

    def _write(self) -> None:
        while not self._closed:
            self._due.wait()
            self._hurry.wait(_GATHER_SECONDS)
            self._hurry.clear()
            self._due.clear()
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        lines: list[str] = []
        told: list[threading.Event] = []
        while self._waiting:
            item = self._waiting.popleft()
            if isinstance(item, str):
                lines.append(item)
            else:
                told.append(item)
        if lines:
            try:
                self._stream.write("\n".join([*lines, ""]))
                self._stream.flush()
            except (OSError, ValueError):  # whoever read it is gone
                self._lost += len(lines)
        for written in told:
            written.set()
