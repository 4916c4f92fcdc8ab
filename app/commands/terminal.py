"""Text from outside on a terminal: shown as it is, and never obeyed."""

import unicodedata

from rich.console import Console
from rich.text import Text

_KEPT = frozenset("\n\t\u200c\u200d")  # the joiners belong to the spelling of Persian, Hindi and emoji
_HIDDEN = frozenset({"Cc", "Cf", "Cs"})


def literal(text: str) -> str:
    r"""``text`` with control, direction and surrogate characters written out, such as ``\x1b``."""
    return "".join(
        char.encode("unicode_escape").decode()
        if char not in _KEPT and unicodedata.category(char) in _HIDDEN
        else char
        for char in text
    )


def plain(text: object, style: str = "") -> Text:
    """``text`` for a table, a panel or a line: neither its markup nor its control characters work."""
    return Text(literal(str(text)), style=style)


def write(console: Console, text: str, *, end: str = "\n") -> None:
    """Print ``text`` literally, at once, and neither wrapped nor with its tabs replaced."""
    console.file.write(literal(text) + end)
    console.file.flush()
