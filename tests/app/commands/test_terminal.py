import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from app.commands.terminal import literal, plain, write
from tests.app.commands.screen import new_console, shown, text_of


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a [bold]b[/bold] [link=http://x]c[/]", "a [bold]b[/bold] [link=http://x]c[/]"),
        ("a :smile: b", "a :smile: b"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("bell\x07 back\x08 null\x00", r"bell\x07 back\x08 null\x00"),
        ("over\rwrite", r"over\rwrite"),
        ("\x9b31mC1", r"\x9b31mC1"),
        ("right \u202eto left", r"right \u202eto left"),
        ("half a pair \ud83d", r"half a pair \ud83d"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("क्\u200dष 👩\u200d🚀 é 漢", "क्\u200dष 👩\u200d🚀 é 漢"),
    ],
)
def test_text_from_outside_is_shown_and_not_obeyed(text: str, seen: str) -> None:
    assert literal(text) == seen
    assert isinstance(plain(text), Text)
    assert plain(text).plain == seen
    console = new_console()
    write(console, text, end="")
    assert text_of(console) == seen


@given(st.text(st.characters(), max_size=50))
def test_no_text_reaches_a_terminal_with_a_control_character(text: str) -> None:
    screen = io.StringIO()
    write(Console(file=screen, force_terminal=True), text, end="")
    controls = {char for char in screen.getvalue() if unicodedata.category(char) in {"Cc", "Cs"}}
    assert controls <= {"\n", "\t"}
    screen.getvalue().encode()


def test_what_is_written_is_not_wrapped() -> None:
    console = new_console(width=20)
    write(console, "word " * 20)
    assert text_of(console) == "word " * 20 + "\n"


def test_markup_in_a_table_cell_is_text() -> None:
    assert "[red]x[/red]" in shown(plain("[red]x[/red]", style="bold"))
