"""Prompt versions that are in no store."""

import json

from app.chat.alignment import Alignment
from app.chat.reading import read_request
from app.chat.schemas import ChatRequest
from app.labelled_prompts import ServedPrompt
from optimizer.examples.retrieval import LexicalRetriever
from optimizer.rendering import CallerSystem
from optimizer.types import Example, JsonObject
from store.records.prompts import PromptVersionRecord

BANK = (
    Example(id="e1", query="How do I boil an egg?", answer="Eight minutes."),
    Example(id="e2", query="Why is the sky blue?", answer="Scattering."),
)


def alignment(
    system_prompt: str = "OURS",
    *,
    k: int = 0,
    caller_system: CallerSystem = CallerSystem.AFTER,
    sampling: JsonObject | None = None,
) -> Alignment:
    """An alignment by a version with two examples in its bank."""
    version = PromptVersionRecord(
        id="pv_1",
        model="m",
        number=1,
        content_hash="0",
        system_prompt=system_prompt,
        example_bank_id="eb_1",
        k=k,
        sampling=sampling or {},
        optimization_id=None,
        candidate_id=None,
        evidence=None,
        created_at=0.0,
    )
    prompt = ServedPrompt(version=version, examples=BANK, retriever=LexicalRetriever(BANK))
    return Alignment(prompt=prompt, caller_system=caller_system)


def request(*messages: JsonObject, **fields: object) -> ChatRequest:
    """A request with ``messages``, or with one question about the sea."""
    turns = list(messages) or [user("Why is the sea blue?")]
    body: dict[str, object] = {"model": "m", "messages": turns, **fields}
    return read_request(json.dumps(body).encode(), {})


def user(text: str) -> JsonObject:
    """A user turn."""
    return {"role": "user", "content": text}


def system(text: str, role: str = "system") -> JsonObject:
    """A system turn."""
    return {"role": role, "content": text}
