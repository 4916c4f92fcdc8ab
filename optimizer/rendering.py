"""The one way from a prompt version and a conversation to what a model is sent.

The search and the service both render here, so a prompt is tuned in the form in which it is served (the
authors' code searches on raw completions and serves through a chat template).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import Final, Generic, TypeVar

from optimizer.types import Example, Message

SYSTEM_ROLES = frozenset({"system", "developer"})
COMPLETION_STOP = ("\n# Query:",)
TurnT = TypeVar("TurnT")
_INSTRUCTION = "# Instruction:"
_HEADING = re.compile(r"(?:^|(?<=[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]))(?=# (?:Instruction|Query|Answer):)")


class CallerSystem(StrEnum):
    """What becomes of the system messages that a caller sends along."""

    AFTER = "after"
    BEFORE = "before"
    REPLACE = "replace"
    DROP = "drop"


class ExamplePlace(StrEnum):
    """Where examples stand.

    Before the conversation, before its last question, or in the system message: at its end, or at its
    beginning, ahead of all instructions. A search asks the same queries under one prompt after the other, so
    that at the beginning is where a backend's prefix cache holds most of what it is sent.
    """

    FIRST = "first"
    LAST = "last"
    SYSTEM = "system"
    SYSTEM_FIRST = "system_first"

    @property
    def is_in_system(self) -> bool:
        """Whether the examples are text in the system message, and no turns of the conversation."""
        return self in {ExamplePlace.SYSTEM, ExamplePlace.SYSTEM_FIRST}


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnForm(Generic[TurnT]):
    """How the turns of a conversation are held, which are passed on as they came.

    Attributes:
        role / text: of a turn.
        write: a turn of ours in that form, from its role and its text.
    """

    role: Callable[[TurnT], str]
    text: Callable[[TurnT], str]
    write: Callable[[str, str], TurnT]


MESSAGES: Final[TurnForm[Message]] = TurnForm(
    role=lambda turn: turn.role,
    text=lambda turn: turn.text,
    write=lambda role, text: Message(role=role, content=text),
)


def assemble_chat(
    system_prompt: str,
    examples: Sequence[Example],
    conversation: Sequence[TurnT],
    form: TurnForm[TurnT],
    *,
    caller_system: CallerSystem = CallerSystem.AFTER,
    place: ExamplePlace = ExamplePlace.FIRST,
) -> tuple[TurnT, ...]:
    """The turns for a model with a chat template.

    One system message (ours and the caller's, joined by a blank line), the examples as user and assistant
    turns, then the conversation. What varies least stands first, so that a backend's prefix cache can hit.

    Args:
        system_prompt: ours; a blank one adds nothing.
        examples: in-context pairs, most similar first; they are shown in reverse, the nearest last.
        conversation: the caller's turns in their order, system messages included.
        form: how those are held.
        caller_system: place of the caller's leading system messages.
        place: where the examples stand.
    """
    leading = count_leading_system(form.role(turn) for turn in conversation)
    rest = conversation[leading:]
    system = join_system(system_prompt, [form.text(turn) for turn in conversation[:leading]], caller_system)
    shown: list[TurnT] = []
    if not place.is_in_system:
        shown = [form.write(role, text) for role, text in example_turns(examples)]
    elif examples:
        system = _system_with_examples(system, examples, place)
    head = (form.write("system", system),) if system else ()
    if place is not ExamplePlace.LAST:
        return (*head, *shown, *rest)
    at = position_of_examples([form.role(turn) for turn in rest], place)
    return (*head, *rest[:at], *shown, *rest[at:])


def render_chat(
    system_prompt: str,
    examples: Sequence[Example],
    conversation: Sequence[Message],
    place: ExamplePlace = ExamplePlace.FIRST,
) -> tuple[Message, ...]:
    """Messages for a model with a chat template, as the search sends them; see ``assemble_chat``."""
    return assemble_chat(system_prompt, examples, conversation, MESSAGES, place=place)


def count_leading_system(roles: Iterable[str]) -> int:
    """How many system messages a conversation begins with, given by its turns' roles."""
    return sum(1 for _ in takewhile(SYSTEM_ROLES.__contains__, roles))


def join_system(system_prompt: str, theirs: Sequence[str], caller_system: CallerSystem) -> str:
    """Our system prompt and the caller's as one text; blank ones add nothing.

    ``replace`` lets theirs take ours' place, where there is one; ``drop`` leaves them out.
    """
    if caller_system is CallerSystem.REPLACE and any(text.strip() for text in theirs):
        parts = [*theirs]
    elif caller_system is CallerSystem.BEFORE:
        parts = [*theirs, system_prompt]
    elif caller_system is CallerSystem.DROP:
        parts = [system_prompt]
    else:
        parts = [system_prompt, *theirs]
    return "\n\n".join(part.strip() for part in parts if part.strip())


def example_turns(examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
    """Role and text of the examples' turns, the most similar (the first one given) last."""
    for example in reversed(examples):
        yield "user", example.query
        yield "assistant", example.answer


def examples_as_text(examples: Sequence[Example]) -> str:
    """The examples as part of a system message, the most similar (the first one given) last."""
    return "\n\n".join(_example_sections(examples))


def position_of_examples(roles: Sequence[str], place: ExamplePlace) -> int:
    """The index in a conversation, given by its turns' roles, at which the turns of examples are put in.

    Before the last question of a long conversation they leave all that goes before it as it was in the last
    request, whichever examples are nearest now: a backend's prefix cache hits up to there.
    """
    if place is not ExamplePlace.LAST:
        return 0
    return max((at for at, role in enumerate(roles) if role == "user"), default=0)


def render_text(
    system_prompt: str,
    examples: Sequence[Example],
    conversation: Sequence[Message],
    place: ExamplePlace = ExamplePlace.FIRST,
) -> str:
    """Plain text for a base model, to be completed up to ``COMPLETION_STOP``.

    Args:
        system_prompt: ours; the caller's system messages follow it.
        examples: in-context pairs, most similar first; they are shown in reverse, the nearest last.
        conversation: the caller's messages; the last is the one to answer.
        place: where the examples stand; at the end of the system message means first, as there is none.
    """
    texts = (system_prompt, *(turn.text for turn in conversation if turn.role in SYSTEM_ROLES))
    system = "\n\n".join(_section_text(text) for text in texts if text.strip())
    turns = [turn for turn in conversation if turn.role not in SYSTEM_ROLES]
    sections = [
        f"{'# Answer:' if turn.role == 'assistant' else '# Query:'}\n{_section_text(turn.text)}"
        for turn in turns
    ]
    head = [f"{_INSTRUCTION}\n{system}"] if system else []
    shown = _example_sections(examples)
    if place is ExamplePlace.SYSTEM_FIRST:
        head[:0] = shown
    else:
        at = position_of_examples([turn.role for turn in turns], place)
        sections[at:at] = shown
    return "\n\n".join([*head, *sections, "# Answer:\n"])


def _system_with_examples(system: str, examples: Sequence[Example], place: ExamplePlace) -> str:
    shown = examples_as_text(examples)
    if place is ExamplePlace.SYSTEM:
        return f"{system}\n\n{shown}".strip()
    # without a heading the instructions would read as the end of the last answer
    return f"{shown}\n\n{_INSTRUCTION}\n{_section_text(system)}" if system else shown


def _example_sections(examples: Sequence[Example]) -> list[str]:
    return [
        f"{heading}\n{_section_text(text)}"
        for example in reversed(examples)
        for heading, text in (("# Query:", example.query), ("# Answer:", example.answer))
    ]


def _section_text(text: str) -> str:
    """``text`` with its own look-alikes of our headings indented, so that it cannot open a section."""
    return _HEADING.sub(" ", text.strip())
