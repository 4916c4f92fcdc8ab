"""A system prompt as an introduction and a list of instructions, which can be kept, dropped and combined."""

import re
from dataclasses import dataclass

_BULLET = re.compile(r"(?:[-*\u2022]|\d{1,2}[.)])\s+(?=\S)")


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptLines:
    """The parts of a prompt.

    Attributes:
        introduction: what stands before the first instruction; may be empty.
        instructions: the items of the list, without their marks.
    """

    introduction: str
    instructions: tuple[str, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """What the prompt says, part by part, each once: what two prompts share, they share exactly."""
        opening = (line.strip() for line in self.introduction.split("\n"))
        return tuple(dict.fromkeys(line for line in (*opening, *self.instructions) if line))


def read_prompt(system_prompt: str) -> PromptLines:
    """Part ``system_prompt`` into introduction and instructions.

    A prompt that is anything else than an introduction and one flat list (headings between items, nested
    lists, a closing paragraph) is an introduction as a whole: taken apart it would not mean the same.
    """
    introduction: list[str] = []
    instructions: list[str] = []
    for line in system_prompt.strip().split("\n"):
        bullet = _BULLET.match(line)
        if bullet:
            instructions.append(line[bullet.end() :].strip())
        elif not instructions:
            introduction.append(line)
        elif line.strip():
            return PromptLines(introduction=system_prompt.strip(), instructions=())
    return PromptLines(introduction="\n".join(introduction).strip(), instructions=tuple(instructions))


def write_prompt(lines: PromptLines) -> str:
    """The prompt that ``read_prompt`` would read as ``lines``."""
    listed = "\n".join(f"- {instruction}" for instruction in lines.instructions)
    return "\n\n".join(part for part in (lines.introduction, listed) if part)
