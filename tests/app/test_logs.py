import logging

import pytest

from app.logs import configure_logging
from tests.app.conftest import CHATTY

pytestmark = pytest.mark.usefixtures("restored_logging")


def test_an_event_is_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO")
    logging.getLogger("app.somewhere").info("it happened %s", "twice")
    logging.getLogger("app.somewhere").debug("unseen")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(" INFO app.somewhere: it happened twice\n")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("name", CHATTY)
def test_chatty_libraries_speak_from_warnings_on(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG")
    logging.getLogger(f"{name}.part").info("a request")
    logging.getLogger(f"{name}.part").warning("a problem")
    assert "a problem" in (told := capsys.readouterr().err)
    assert "a request" not in told


def test_configuring_again_does_not_double_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG")
    configure_logging("WARNING")
    logging.getLogger("app").warning("once")
    logging.getLogger("app").info("not any more")
    assert capsys.readouterr().err.count("\n") == 1
