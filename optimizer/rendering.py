"""The one way from a prompt version and a conversation to what a model is sent.

The search and the service both render here, so a prompt is tuned in the form in which it is served (the
authors' code searches on raw completions and serves through a chat template).
"""

import re
from collections.abc import Sequence
from enum import StrEnum

from optimizer.types import Example, Message

SYSTEM_ROLES = frozenset({"system", "developer"})
COMPLETION_STOP = ("\n# Query:",)
_HEADING = re.compile(r"(?:^|(?<=[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]))(?=# (?:Instruction|Query|Answer):)")


class CallerSystem(StrEnum):
    """What becomes of the system messages that a caller sends along."""

    AFTER = "after"
    BEFORE = "before"
    REPLACE = "replace"


def render_chat(
    system_prompt: str,
    examples: Sequence[Example],
    conversation: Sequence[Message],
    caller_system: CallerSystem = CallerSystem.AFTER,
) -> tuple[Message, ...]:
    """Messages for a model with a chat template.

    One system message (ours and the caller's, joined by a blank line), the examples as user and assistant
    turns, then the conversation. What varies least stands first, so that a backend's prefix cache can hit.

    Args:
        system_prompt: ours; a blank one adds nothing.
        examples: in-context pairs, most similar first; they are shown in reverse, the nearest last.
        conversation: the caller's messages in their order, system messages included.
        caller_system: place of the caller's leading system messages; ``replace`` lets them take ours' place.
    """
    leading = 0
    while leading < len(conversation) and conversation[leading].role in SYSTEM_ROLES:
        leading += 1
    theirs = [message.text for message in conversation[:leading]]
    if caller_system is CallerSystem.REPLACE and any(text.strip() for text in theirs):
        parts = theirs
    elif caller_system is CallerSystem.BEFORE:
        parts = [*theirs, system_prompt]
    else:
        parts = [system_prompt, *theirs]
    joined = "\n\n".join(part.strip() for part in parts if part.strip())
    head = (Message(role="system", content=joined),) if joined else ()
    shown = tuple(
        turn
        for example in reversed(examples)
        for turn in (
            Message(role="user", content=example.query),
            Message(role="assistant", content=example.answer),
        )
    )
    return head + shown + tuple(conversation[leading:])


def render_text(system_prompt: str, examples: Sequence[Example], conversation: Sequence[Message]) -> str:
    """Plain text for a base model, to be completed up to ``COMPLETION_STOP``.

    Args:
        system_prompt: ours; the caller's system messages follow it.
        examples: in-context pairs, most similar first; they are shown in reverse, the nearest last.
        conversation: the caller's messages; the last is the one to answer.
    """
    texts = (system_prompt, *(turn.text for turn in conversation if turn.role in SYSTEM_ROLES))
    system = "\n\n".join(_section_text(text) for text in texts if text.strip())
    parts = [f"# Instruction:\n{system}"] if system else []
    for example in reversed(examples):
        parts += [
            f"# Query:\n{_section_text(example.query)}",
            f"# Answer:\n{_section_text(example.answer)}",
        ]
    for turn in conversation:
        if turn.role not in SYSTEM_ROLES:
            heading = "# Answer:" if turn.role == "assistant" else "# Query:"
            parts.append(f"{heading}\n{_section_text(turn.text)}")
    return "\n\n".join([*parts, "# Answer:\n"])


def _section_text(text: str) -> str:
    """``text`` with its own look-alikes of our headings indented, so that it cannot open a section."""
    return _HEADING.sub(" ", text.strip())
