import json
import logging
import sys

import pytest

from app.logs import configure_logging, log_for_command, without_secrets
from app.observability_settings import LoggingSettings
from app.telemetry.current import ActiveRequest, answering, working_on
from tests.app.conftest import CHATTY, written

pytestmark = pytest.mark.usefixtures("restored_logging")
TEXT = LoggingSettings(format="text")
JSON = LoggingSettings(format="json", level="DEBUG")


def fail(error: Exception) -> None:
    raise error


def test_for_people_an_event_is_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TEXT)
    logging.getLogger("app.somewhere").info("it happened %s", "twice")
    logging.getLogger("app.somewhere").debug("unseen")
    captured = written(capsys)
    assert captured.out == ""
    assert captured.err.endswith(" INFO app.somewhere: it happened twice\n")
    assert captured.err.count("\n") == 1


def test_for_machines_it_is_an_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(JSON)
    logging.getLogger("app.somewhere").info("it happened\n%s", "twice")
    captured = written(capsys)
    assert captured.err == ""
    (line,) = captured.out.splitlines()
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {"level": "INFO", "logger": "app.somewhere", "message": "it happened\ntwice"}


@pytest.mark.parametrize(("is_terminal", "stream"), [(True, "err"), (False, "out")])
def test_by_default_a_terminal_gets_text_and_anything_else_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, is_terminal: bool, stream: str
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    configure_logging(LoggingSettings())
    logging.getLogger("app").info("here")
    captured = written(capsys)
    assert "here" in getattr(captured, stream)
    assert captured.out.startswith("{") is not is_terminal


def test_a_line_says_which_request_or_job_it_belongs_to(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(JSON)
    request = ActiveRequest("req_1")
    request.trace_id = "0af7651916cd43dd8448eb211c80319c"
    with answering(request):
        logging.getLogger("app").info("asked")
    with working_on("opt_1"):
        logging.getLogger("app").info("searched")
    logging.getLogger("app").info("idle")
    asked, searched, idle = (json.loads(line) for line in written(capsys).out.splitlines())
    assert (asked["request_id"], asked["trace_id"]) == ("req_1", request.trace_id)
    assert searched["job_id"] == "opt_1"
    assert {"request_id", "trace_id", "job_id"}.isdisjoint(idle)


def test_text_says_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(TEXT)
    with working_on("opt_1"):
        logging.getLogger("app").info("searched")
    assert written(capsys).err.endswith("app: searched [job_id=opt_1]\n")


def test_a_trace_of_a_bug_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(JSON)
    try:
        fail(ValueError("no\nway"))
    except ValueError:
        logging.getLogger("app").exception("failed")
    (line,) = written(capsys).out.splitlines()
    assert "ValueError: no\nway" in json.loads(line)["exception"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://drpo:hunter2@db:5432/x", "postgresql://drpo:***@db:5432/x"),
        ("redis://:hunter2@r/0 and mail@host", "redis://:***@r/0 and mail@host"),
        ("http://127.0.0.1:8000/v1 asked by a@b", "http://127.0.0.1:8000/v1 asked by a@b"),
        ("authorization: Bearer abcdefgh12345678", "authorization: Bearer ***"),
        ("sk-proj-0123456789abcdef is wrong", "sk-*** is wrong"),
        ("drpo_0123456789ab_" + "x" * 43, "drpo_0123456789ab_***"),
        ("a risk-free bearer of news", "a risk-free bearer of news"),
    ],
)
def test_secrets_are_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize("settings", [TEXT, JSON])
def test_secrets_are_hidden_in_lines_and_traces(
    settings: LoggingSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(settings)
    try:
        fail(ConnectionError("no way to postgresql://drpo:hunter2@db/x"))
    except ConnectionError:
        logging.getLogger("app").exception("with %s", "Bearer abcdefgh12345678")
    captured = written(capsys)
    told = captured.out + captured.err
    assert "postgresql://drpo:***@db/x" in told
    assert "hunter2" not in told
    assert "abcdefgh" not in told


@pytest.mark.parametrize("name", CHATTY)
def test_chatty_libraries_speak_from_warnings_on(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(format="text", level="DEBUG"))
    logging.getLogger(f"{name}.part").info("a request")
    logging.getLogger(f"{name}.part").warning("a problem")
    assert "a problem" in (told := written(capsys).err)
    assert "a request" not in told


def test_a_library_that_is_loaded_later_and_sets_its_own_level_stays_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(LoggingSettings(format="text", level="DEBUG"))
    logger = logging.getLogger("bm25s")
    logger.setLevel(logging.DEBUG)
    logger.debug("a detail")
    logger.warning("a problem")
    assert "a problem" in (told := written(capsys).err)
    assert "a detail" not in told


def test_configuring_again_does_not_double_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(JSON)
    log_for_command()
    logging.getLogger("app").warning("once")
    logging.getLogger("app").info("not any more")
    captured = written(capsys)
    assert captured.err.count("\n") == 1
    assert captured.out == ""
