"""Quoting of untrusted text, so that it can be read but cannot speak.

Every line of quoted text begins with a marker that no template uses otherwise. A text cannot leave its quote:
whatever it contains, including other line separators, ends up behind the marker.
"""

import re
import unicodedata
from dataclasses import dataclass

from typing_extensions import override

MARK = "| "

_KEPT = frozenset("\t\u200c\u200d")  # the joiners belong to the spelling of Persian, Hindi and emoji

_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Quoted:
    """Text that is safe to put into a template."""

    text: str

    @override
    def __str__(self) -> str:
        """The text as it stands in the rendered template."""
        return self.text


def _printable(text: str) -> str:
    """``text`` without control and direction-override characters, which could hide what is quoted."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char for char in text if char in _KEPT or unicodedata.category(char) not in {"Cc", "Cf", "Cs"}
    )


def quote(text: str) -> Quoted:
    """Quote a text of any length: each of its lines behind the marker."""
    lines = _LINE_BREAK.split(text)
    return Quoted("\n".join((MARK + _printable(line)).rstrip() for line in lines))


def quote_inline(text: str, *, limit: int = 200) -> Quoted:
    """Quote a short text, such as a name, for use in a line: no line breaks, no marks, at most ``limit``."""
    line = _printable(_LINE_BREAK.sub(" ", text)).replace("|", "/")
    return Quoted(" ".join(line.split())[:limit])


def unquote(quoted: str) -> str:
    """The lines behind the markers: what a reader of ``quote(text)`` sees."""
    return "\n".join(
        line[len(MARK) :] if line.startswith(MARK) else line[len(MARK.rstrip()) :]
        for line in quoted.split("\n")
    )
