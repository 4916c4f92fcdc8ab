"""A backend that writes drafts, and judges them."""

import json
from collections.abc import Mapping

import httpx

from optimizer.types import JsonObject, JsonValue
from tests.app.chat.serving import (
    MODEL,
    UPSTREAM_MODEL,
)
from tests.fakes.openai_server import Answer, Exchange, Reply

DRAFTS = ("Fair enough.", "The best of all.", "Poor.")
SCORES: Mapping[str, float] = {"Fair enough.": 3, "The best of all.": 5, "Poor.": 1}
USAGE: JsonObject = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


def draft(text: str, place: int = 0, **message: JsonValue) -> JsonObject:
    """A choice that says ``text``."""
    return {
        "index": place,
        "message": {"role": "assistant", "content": text, **message},
        "finish_reason": "stop",
    }


class Roles:
    """A backend whose target writes drafts in turn, and whose judge knows what each is worth."""

    def __init__(self, drafts: tuple[JsonObject | Reply, ...] = ()) -> None:
        self.judged: list[str] = []
        self.criteria = 0
        self.judge: Reply | None = None
        self._drafts = list(drafts or [draft(text, place) for place, text in enumerate(DRAFTS)])

    def __call__(self, exchange: Exchange) -> Reply:
        if exchange.body["model"] == "critic":
            return self._critic(str(exchange.body["messages"]))
        count = exchange.body.get("n")
        taken = [self._drafts.pop(0) for _ in range(count if isinstance(count, int) else 1)]
        if not isinstance(taken[0], dict):
            return taken[0]
        choices: list[JsonValue] = [choice for choice in taken if isinstance(choice, dict)]
        return Answer(body={"id": "c-9", "created": 3, "model": "m", "choices": choices, "usage": USAGE})

    def _critic(self, messages: str) -> Reply:
        if "score an answer" not in messages:
            self.criteria += 1
            chosen: JsonValue = {
                "criteria": [{"name": "Helpfulness", "reason": "it helps"}],
                "rationale": "so",
            }
            return said(chosen)
        text = next(text for text in SCORES if f"| {text}" in messages)
        self.judged.append(text)
        if self.judge is not None:
            return self.judge
        return said({"scores": [{"criterion": "Helpfulness", "rationale": "r", "score": SCORES[text]}]})


def said(value: JsonValue) -> Reply:
    """What a critic replies."""
    return Answer(body={"model": "m", "choices": [draft(json.dumps(value))], "usage": USAGE})


def text_of(response: httpx.Response) -> str:
    """The answer, which has one choice."""
    assert response.status_code == 200, response.text
    (choice,) = response.json()["choices"]
    assert choice["index"] == 0
    return str(choice["message"]["content"])


def targets_with(**best_of: object) -> dict[str, object]:
    """The target with these settings of best-of."""
    return {
        MODEL: {"backend": "upstream", "model": UPSTREAM_MODEL, "alignment": {"best_of": best_of}},
    }
