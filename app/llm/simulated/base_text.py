"""How a simulated base model reads plain text, and how it goes on: an answer, then more of the same."""

import re
from dataclasses import dataclass

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
