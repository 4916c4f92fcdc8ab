"""Prompt versions that are in no store."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from app.chat.alignment import Alignment, align
from app.chat.policy import policy_of
from app.chat.reading import read_request
from app.chat.schemas import AlignmentOptions, ChatRequest
from app.labelled_prompts import ServedPrompt
from app.retrieval import ServingRetriever
from app.serving_settings import AlignmentSettings
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
    turns: Sequence[JsonObject] = (),
    **policy: Any,
) -> Alignment:
    """An alignment of ``turns``, by default about the sea, by a version with two examples in its bank."""
    version = PromptVersionRecord(
        id="pv_1",
        model="m",
        number=1,
        content_hash="0",
        system_prompt=system_prompt,
        example_bank_id="eb_1",
        k=k,
        retrieval=None,
        sampling=sampling or {},
        optimization_id=None,
        candidate_id=None,
        provenance=None,
        evidence=None,
        created_at=0.0,
    )
    retriever = ServingRetriever(LexicalRetriever(BANK), None, patience=1)
    prompt = ServedPrompt(version=version, examples=BANK, retriever=retriever)
    settings = AlignmentSettings(caller_system=caller_system.value, **policy)
    how = policy_of(AlignmentOptions(), settings, default=CallerSystem.AFTER, prompt=None)
    return asyncio.run(align(prompt, how, turns or [user("Why is the sea blue?")]))


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
