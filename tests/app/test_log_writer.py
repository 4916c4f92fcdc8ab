import io
import logging
import threading

import pytest
from typing_extensions import override

from app.log_writer import LineWriter


def record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text})


class Slow(io.StringIO):
    """A stream that nobody reads for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.opened = threading.Event(), threading.Event()

    @override
    def write(self, text: str) -> int:
        self.reached.set()
        self.opened.wait(20)
        return super().write(text)


def test_lines_are_written_in_order() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    for number in range(100):
        writer.emit(record(str(number)))
    writer.flush()
    assert stream.getvalue().split() == [str(number) for number in range(100)]
    writer.emit(record("last"))
    writer.close()
    assert stream.getvalue().endswith("last\n")


def test_a_line_does_not_wait_for_the_lock_that_every_handler_has() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    assert writer.lock is not None  # newer versions of the library take it without looking
    logging_thread = threading.Thread(target=writer.handle, args=(record("a line"),))
    with writer.lock:
        logging_thread.start()
        logging_thread.join(20)
        assert not logging_thread.is_alive()
    writer.addFilter(lambda line: "not" not in line.getMessage())
    writer.handle(record("not this one"))
    writer.close()
    assert stream.getvalue().splitlines() == ["a line"]


def test_a_reader_that_stops_stops_nobody_and_hears_what_it_has_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.log_writer._MOST_WAITING", 3)
    monkeypatch.setattr("app.log_writer._LAST_SECONDS", 20)
    stream = Slow()
    writer = LineWriter(stream)
    writer.emit(record("0"))
    assert stream.reached.wait(20)
    for number in range(1, 9):
        writer.emit(record(str(number)))
    stream.opened.set()
    writer.flush()
    writer.emit(record("again"))
    writer.close()
    assert stream.getvalue().splitlines() == ["0", "1", "2", "3", "5 lines of the log were lost", "again"]


def test_one_that_never_reads_does_not_hold_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.log_writer._LAST_SECONDS", 0.01)
    stream = Slow()
    writer = LineWriter(stream)
    writer.emit(record("0"))
    writer.flush()
    writer.close()
    stream.opened.set()


class Gone(io.StringIO):
    """A stream whose reader has left."""

    @override
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_one_that_is_gone_is_no_error() -> None:
    writer = LineWriter(Gone())
    writer.emit(record("0"))
    writer.flush()
    writer.emit(record("1"))
    writer.close()


def test_what_cannot_be_formatted_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    writer.emit(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
    writer.close()
    assert stream.getvalue() == ""
    assert "Logging error" in capsys.readouterr().err
