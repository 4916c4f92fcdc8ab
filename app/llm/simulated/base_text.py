"""How a simulated model reads text of labelled parts, and how a base model goes on: an answer, then more."""

import re
from dataclasses import dataclass, replace

from app.llm.simulated.target import Conversation

_LABEL = re.compile(
    r"^(?P<label>#{0,3} ?(?P<role>Instructions?|System|Query|Question|User|Human|Input"
    r"|Answer|Assistant|Response|Output) ?:)"
    r"[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_ASKING = frozenset({"query", "question", "user", "human", "input"})
_ANSWERING = frozenset({"answer", "assistant", "response", "output"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TextLayout:
    """A text to be completed, as understood.

    Attributes:
        query_label: how the text marks a query, which the model imitates; empty if it does not.
    """

    conversation: Conversation
    query_label: str


def with_examples_read(conversation: Conversation) -> Conversation:
    """The conversation with the examples that stand in its system message read as its first turns."""
    if not _shows_examples(conversation.system):
        return conversation
    # a last label makes the whole a text whose query is asked and not yet answered
    shown = read_text(f"{conversation.system}\n\n# Query:\n").conversation
    return replace(
        conversation,
        system=shown.system,
        shown_answers=(*shown.shown_answers, *conversation.shown_answers),
        earlier=(*shown.earlier, *conversation.earlier),
    )


def _shows_examples(system: str) -> bool:
    lines = system.splitlines()
    return "# Query:" in lines and "# Answer:" in lines


def read_text(text: str) -> TextLayout:
    """Read a text of labelled parts; without any label all of it is the query."""
    labels = list(_LABEL.finditer(text))
    if not any(label["role"].lower() in _ASKING for label in labels):
        return TextLayout(conversation=Conversation(system="", query=text.strip()), query_label="")
    system = [text[: labels[0].start()].strip()]
    asked: list[str] = []
    answered: list[str] = []
    query_label = ""
    for label, following in zip(labels, [*labels[1:], None], strict=True):
        part = text[label.end() : following.start() if following else len(text)].strip()
        role = label["role"].lower()
        if role in _ASKING:
            asked.append(part)
            query_label = label["label"]
        elif role in _ANSWERING:
            answered.append(part)
        else:
            system.append(part)
    conversation = Conversation(
        system="\n\n".join(part for part in system if part),
        shown_answers=tuple(part for part in answered if part),
        earlier=tuple(asked[:-1]),
        query=asked[-1],
    )
    return TextLayout(conversation=conversation, query_label=query_label)


def as_completion(answer: str, layout: TextLayout) -> str:
    """``answer``, and what a base model writes after it unless a stop sequence ends it: the next query."""
    if not layout.query_label:
        return answer
    return f"{answer}\n\n{layout.query_label}\nAnd what about the rest?\n"
