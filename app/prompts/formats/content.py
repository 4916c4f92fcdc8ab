"""What a prompt version is made of, apart from where it comes from."""

from dataclasses import dataclass

from app.errors import ApiError, invalid_request
from optimizer.types import Example, JsonObject

PROMPT_LIMIT = 20_000
"""Characters of a system prompt, and of one text of an example."""

MOST_EXAMPLES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptContent:
    """The bundle that a version is.

    Attributes:
        examples: the bank.
        k: how many of them are shown with a request.
        retrieval: what finds them, as a version keeps it; None for shared words.
        sampling: ``temperature`` and ``top_p``.
    """

    system_prompt: str
    examples: tuple[Example, ...]
    k: int
    retrieval: JsonObject | None
    sampling: JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadPrompt:
    """What a foreign format says about a prompt.

    Attributes:
        left_out: what it says beside that a version has no place for, in words.
    """

    content: PromptContent
    left_out: tuple[str, ...] = ()


def numbered(pairs: list[tuple[str, str]]) -> tuple[Example, ...]:
    """Examples from queries and answers, in their order.

    Raises:
        ApiError: 400, there are too many, or one has no text or too much.
    """
    if len(pairs) > MOST_EXAMPLES:
        raise unreadable(f"{len(pairs)} examples are too many: {MOST_EXAMPLES} at most")
    for number, pair in enumerate(pairs, start=1):
        if not all(0 < len(text) <= PROMPT_LIMIT for text in pair):
            raise unreadable(f"example {number}: query and answer need 1 to {PROMPT_LIMIT} characters")
    return tuple(
        Example(id=f"ex-{number:03d}", query=query, answer=answer)
        for number, (query, answer) in enumerate(pairs, start=1)
    )


def read_sampling(*sources: object) -> JsonObject:
    """``temperature`` and ``top_p`` as the first of ``sources`` that is an object and has one says."""
    found: JsonObject = {"temperature": None, "top_p": None}
    for name, most in (("temperature", 2.0), ("top_p", 1.0)):
        for source in sources:
            value = source.get(name) if isinstance(source, dict) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
                found[name] = float(value)
                break
    if found["top_p"] == 0:  # no probability at all is none that a version can have
        found["top_p"] = None
    return found


def shown_examples(content: PromptContent, *, every: bool) -> tuple[Example, ...]:
    """The examples that a format without retrieval holds: ``every`` one, or the first k of the bank."""
    return content.examples if every else content.examples[: content.k]


def unreadable(reason: str) -> ApiError:
    """The error for a document that cannot be read as a prompt."""
    return invalid_request(f"content: {reason}", param="content")
