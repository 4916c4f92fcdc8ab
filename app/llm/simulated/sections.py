"""Reading the messages of the critic roles: headings, lines below them, and quoted blocks."""

from collections.abc import Sequence

from optimizer.quoting import unquote

_MARK = "|"


def section(text: str, title: str) -> list[str]:
    """The lines below the heading ``title`` (with its ``#`` signs), up to the next heading as high.

    Only headings outside quotes count: what is quoted cannot open or end a section.
    """
    level = title.split(" ", 1)[0]
    lines: list[str] = []
    inside = False
    for line in text.split("\n"):
        if line.startswith("#") and len(line) - len(line.lstrip("#")) <= len(level):
            if inside:
                break
            inside = line.strip() == title
        elif inside:
            lines.append(line)
    return lines


def subsections(lines: Sequence[str], opening: str) -> list[tuple[str, list[str]]]:
    """The parts of ``lines`` that begin with a line starting with ``opening``, each with that line."""
    parts: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(opening):
            parts.append((line, []))
        elif parts:
            parts[-1][1].append(line)
    return parts


def quoted(lines: Sequence[str]) -> str:
    """The text behind the marks in ``lines``; unmarked lines are left out."""
    return unquote("\n".join(line for line in lines if line.startswith(_MARK)))


def items(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Name and text of each line ``- Name: text``."""
    pairs = (line[2:].partition(":") for line in lines if line.startswith("- "))
    return [(name.strip(), text.strip()) for name, separator, text in pairs if separator and name.strip()]
