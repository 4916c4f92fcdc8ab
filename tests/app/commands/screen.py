"""What a console shows."""

import io

from rich.console import Console, RenderableType


def new_console(*, terminal: bool = False, width: int = 100) -> Console:
    """A console that keeps what is printed on it."""
    return Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, legacy_windows=False
    )


def text_of(console: Console) -> str:
    """What was printed on ``console``."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(renderable: RenderableType, *, width: int = 100) -> str:
    """``renderable`` as text."""
    console = new_console(width=width)
    console.print(renderable)
    return text_of(console)
