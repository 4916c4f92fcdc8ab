"""A prompt as the state of a DSPy predictor, which ``dspy.Predict("query -> answer").load(path)`` reads.

The form is that of DSPy 3 (``Predict.dump_state`` and ``Module.save``, as JSON): instructions are the system
prompt, demos the examples. DSPy's adapters put words of their own around both.
"""

from typing import Final

from app.prompts.formats.content import (
    PROMPT_LIMIT,
    PromptContent,
    ReadPrompt,
    numbered,
    read_sampling,
    shown_examples,
    unreadable,
)
from optimizer.types import JsonObject, JsonValue

_FIELDS: Final[list[JsonValue]] = [
    {"prefix": "Query:", "description": "${query}"},
    {"prefix": "Answer:", "description": "${answer}"},
]
_BESIDE: Final = frozenset({"augmented", "reasoning", "rationale"})
_QUERY_AND_ANSWER: Final = 2


def write_state(content: PromptContent, *, every_example: bool) -> JsonObject:
    """The state of ``dspy.Predict("query -> answer")``; it names no language model."""
    demos: list[JsonValue] = [
        {"query": item.query, "answer": item.answer}
        for item in reversed(shown_examples(content, every=every_example))
    ]
    return {
        "traces": [],
        "train": [],
        "demos": demos,
        "signature": {"instructions": content.system_prompt, "fields": list(_FIELDS)},
        "lm": None,
        "metadata": {"dependency_versions": {}},  # DSPy compares those that are named, and warns
    }


def read_state(document: JsonObject) -> ReadPrompt:
    """The prompt in the state of a predictor, or of a module that has one predictor.

    Raises:
        ApiError: 400, it is neither, or its demos are not made of a query and an answer.
    """
    state = _predictor(document)
    signature = state["signature"]
    instructions = signature.get("instructions") if isinstance(signature, dict) else None
    if not isinstance(instructions, str) or len(instructions) > PROMPT_LIMIT:
        raise unreadable(f"signature.instructions has to be a text of {PROMPT_LIMIT} characters at most")
    demos = state.get("demos", [])
    if not isinstance(demos, list):
        raise unreadable("demos has to be a list")
    examples = numbered([_pair(demo, number) for number, demo in enumerate(demos, start=1)][::-1])
    lm = state.get("lm")
    return ReadPrompt(
        content=PromptContent(
            system_prompt=instructions,
            examples=examples,
            k=len(examples),
            retrieval=None,
            sampling=read_sampling(lm),
        ),
        left_out=_left_out(state, demos),
    )


def _predictor(document: JsonObject) -> JsonObject:
    if "signature" in document:
        return document
    found = [part for part in document.values() if isinstance(part, dict) and "signature" in part]
    if len(found) != 1:
        raise unreadable(f"give the state of one predictor; this has {len(found)}")
    return found[0]


def _pair(demo: JsonValue, number: int) -> tuple[str, str]:
    told = [text for name, text in demo.items() if name not in _BESIDE] if isinstance(demo, dict) else []
    texts = [text for text in told if isinstance(text, str)]
    if len(told) != _QUERY_AND_ANSWER or len(texts) != _QUERY_AND_ANSWER:
        raise unreadable(f"demo {number} has to have two fields, both texts: what is asked, and its answer")
    return texts[0], texts[1]


def _left_out(state: JsonObject, demos: list[JsonValue]) -> tuple[str, ...]:
    left = []
    if any(isinstance(demo, dict) and _BESIDE & demo.keys() - {"augmented"} for demo in demos):
        left.append("the reasoning of demos")
    if isinstance(state.get("lm"), dict):
        left.append("the language model, but for temperature and top_p")
    return tuple(left)
