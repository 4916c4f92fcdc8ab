"""What two prompt versions differ in."""

from dataclasses import asdict
from typing import Final

from app.errors import unprocessable
from app.prompts.diff_schemas import (
    ChangedAnswer,
    DiffLine,
    DiffPiece,
    ExamplesDiff,
    PromptDiff,
    SettingChange,
    VersionPlace,
)
from app.prompts.schemas import PromptVersionObject
from app.text_diff import PairLimit, line_diff, word_diff
from optimizer.types import JsonObject

_MOST_LINES: Final = 10_000
"""Of a system prompt: each is an object of the answer, and a row of a page."""
_MOST_PAIRS: Final = 10_000_000
"""Of lines and words of examples that are compared, for all of them together."""
_SHOWN: Final = ("query", "answer", "kind")


def compare(before: PromptVersionObject, after: PromptVersionObject) -> PromptDiff:
    """The differences from ``before`` to ``after``, which have their examples.

    Raises:
        ApiError: 422, a system prompt has too many lines.
    """
    old, new = before.system_prompt, after.system_prompt
    if max(len(old.splitlines()), len(new.splitlines())) > _MOST_LINES:
        raise unprocessable(
            f"system prompts of more than {_MOST_LINES} lines are not compared: export both and compare them "
            "elsewhere",
            code="too_long_to_compare",
        )
    return PromptDiff.model_validate(
        {
            "model": after.model,
            "from": _place(before),
            "to": _place(after),
            "same": before.id == after.id,
            "words": [DiffPiece.model_validate(asdict(piece)) for piece in word_diff(old, new)],
            "lines": [DiffLine.model_validate(asdict(line)) for line in line_diff(old, new)],
            "examples": _examples(before.examples or [], after.examples or []),
            "settings": _settings(before, after),
        }
    )


def _place(version: PromptVersionObject) -> VersionPlace:
    return VersionPlace(
        id=version.id, number=version.number, labels=version.labels, created_at=version.created_at
    )


def _examples(before: list[JsonObject], after: list[JsonObject]) -> ExamplesDiff:
    """Examples are the same where query and answer are, and changed where only the answer is another."""
    old, new, limit = _by_query(before), _by_query(after), PairLimit(_MOST_PAIRS)
    both = [query for query in new if query in old]
    return ExamplesDiff(
        added=[_shown(item) for query, item in new.items() if query not in old],
        removed=[_shown(item) for query, item in old.items() if query not in new],
        changed=[
            ChangedAnswer(
                query=query,
                before=str(old[query]["answer"]),
                after=str(new[query]["answer"]),
                words=[
                    DiffPiece.model_validate(asdict(piece))
                    for piece in word_diff(str(old[query]["answer"]), str(new[query]["answer"]), limit)
                ],
            )
            for query in both
            if old[query]["answer"] != new[query]["answer"]
        ],
        unchanged=sum(old[query]["answer"] == new[query]["answer"] for query in both),
        reordered=both != [query for query in old if query in new],
    )


def _by_query(examples: list[JsonObject]) -> dict[str, JsonObject]:
    return {str(item["query"]): item for item in examples}


def _shown(example: JsonObject) -> JsonObject:
    return {name: example.get(name) for name in _SHOWN}


def _settings(before: PromptVersionObject, after: PromptVersionObject) -> list[SettingChange]:
    old: JsonObject = {"k": before.k, "retrieval": before.retrieval, **_sampling(before)}
    new: JsonObject = {"k": after.k, "retrieval": after.retrieval, **_sampling(after)}
    return [
        SettingChange(name=name, before=old.get(name), after=new.get(name))
        for name in dict.fromkeys((*old, *new))
        if old.get(name) != new.get(name)
    ]


def _sampling(version: PromptVersionObject) -> JsonObject:
    return {f"sampling.{name}": value for name, value in version.sampling.items()}
