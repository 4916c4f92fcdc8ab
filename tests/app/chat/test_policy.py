"""Alignment policy by model and by request."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from optimizer.types import JsonObject
from tests.app.chat.serving import (
    BASE_MODEL,
    EXAMPLES,
    MODEL,
    UPSTREAM_MODEL,
    Service,
    add_version,
    open_service,
)

SYSTEM: JsonObject = {"role": "system", "content": "Ours."}
FIRST: list[JsonObject] = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
LAST: JsonObject = {"role": "user", "content": "Why is the sea blue?"}
SKY: list[JsonObject] = [
    {"role": "user", "content": "Why is the sky blue?"},
    {"role": "assistant", "content": "Scattering."},
]
EGG: list[JsonObject] = [
    {"role": "user", "content": "How do I boil an egg?"},
    {"role": "assistant", "content": "Eight minutes."},
]
SECTIONS = "# Query:\nWhy is the sky blue?\n\n# Answer:\nScattering."


@asynccontextmanager
async def opened(database_url: str, alignment: Mapping[str, object]) -> AsyncIterator[Service]:
    """A service whose models are aligned as ``alignment`` says."""
    targets = {
        MODEL: {"backend": "upstream", "model": UPSTREAM_MODEL, "alignment": alignment},
        BASE_MODEL: {
            "backend": "upstream",
            "model": "vendor-base-1",
            "api": "completions",
            "alignment": alignment,
        },
    }
    async with open_service(database_url, targets=targets) as service:
        yield service


async def sent(service: Service, *, model: str = MODEL, **ours: Any) -> list[JsonObject] | str:
    """What the backend gets for a conversation of three turns after a system message."""
    theirs = {"role": "developer", "content": "Theirs."}
    body = {"model": model, "messages": [theirs, *FIRST, LAST], "drpo": ours}
    response = await service.ask(body)
    assert response.status_code == 200, response.text
    told = service.sent.body.get("messages") or service.sent.body["prompt"]
    assert isinstance(told, str | list)
    return told  # type: ignore[return-value]


def system(text: str) -> JsonObject:
    return {"role": "system", "content": text}


POLICIES: list[tuple[dict[str, Any], list[JsonObject]]] = [
    ({}, [system("Ours.\n\nTheirs."), *SKY, *FIRST, LAST]),
    ({"k": 0}, [system("Ours.\n\nTheirs."), *FIRST, LAST]),
    ({"k": 2}, [system("Ours.\n\nTheirs."), *EGG, *SKY, *FIRST, LAST]),
    ({"examples": "last"}, [system("Ours.\n\nTheirs."), *FIRST, *SKY, LAST]),
    ({"examples": "system"}, [system(f"Ours.\n\nTheirs.\n\n{SECTIONS}"), *FIRST, LAST]),
    ({"examples": "system", "k": 0}, [system("Ours.\n\nTheirs."), *FIRST, LAST]),
    ({"caller_system": "before"}, [system("Theirs.\n\nOurs."), *SKY, *FIRST, LAST]),
    ({"caller_system": "replace"}, [system("Theirs."), *SKY, *FIRST, LAST]),
    ({"caller_system": "drop"}, [system("Ours."), *SKY, *FIRST, LAST]),
    ({"align": False}, [{"role": "developer", "content": "Theirs."}, *FIRST, LAST]),
]


@pytest.mark.parametrize("where", ["settings", "request"])
@pytest.mark.parametrize(("policy", "expected"), POLICIES)
async def test_a_policy_is_that_of_the_model_or_of_the_request(
    sqlite_url: str, where: str, policy: dict[str, Any], expected: list[JsonObject]
) -> None:
    async with opened(sqlite_url, policy if where == "settings" else {}) as service:
        await add_version(service.resources.prompts, "Ours.", examples=EXAMPLES)
        assert await sent(service, **(policy if where == "request" else {})) == expected


async def test_the_request_wins_over_the_settings(sqlite_url: str) -> None:
    usual = {"align": False, "k": 0, "caller_system": "drop", "examples": "system"}
    async with opened(sqlite_url, usual) as service:
        version = await add_version(service.resources.prompts, "Ours.", examples=EXAMPLES)
        ours: dict[str, Any] = {"align": True, "k": 1, "caller_system": "before", "examples": "last"}
        expected = [system("Theirs.\n\nOurs."), *FIRST, *SKY, LAST]
        assert await sent(service, **ours) == expected
        # who names a prompt wants it
        assert await sent(service, prompt_version=version.id, k=0) == [system("Ours."), *FIRST, LAST]


async def test_a_model_has_a_label_or_a_version_of_its_own(sqlite_url: str) -> None:
    async with opened(sqlite_url, {"label": "stable"}) as service:
        await add_version(service.resources.prompts, "Ours.")
        await add_version(service.resources.prompts, "Stable.", label="stable")
        assert "Stable." in str(await sent(service))
        assert "Ours." in str(await sent(service, label="production"))
        pinned = await add_version(service.resources.prompts, "Pinned.", label=None)
    async with opened(sqlite_url, {"prompt_version": pinned.id}) as service:
        assert "Pinned." in str(await sent(service))
        assert "Stable." in str(await sent(service, label="stable"))


async def test_a_base_model_shows_examples_before_the_last_question_too(sqlite_url: str) -> None:
    async with opened(sqlite_url, {"examples": "last", "caller_system": "drop"}) as service:
        await add_version(service.resources.prompts, "Ours.", model=BASE_MODEL, examples=EXAMPLES)
        assert await sent(service, model=BASE_MODEL) == (
            "# Instruction:\nOurs.\n\n# Query:\nHi\n\n# Answer:\nHello\n\n"
            f"{SECTIONS}\n\n# Query:\nWhy is the sea blue?\n\n# Answer:\n"
        )


async def test_a_dropped_system_message_may_hold_anything(service: Service) -> None:
    await add_version(service.resources.prompts, "Ours.")
    image = {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
    response = await service.ask(
        {"model": MODEL, "messages": [image, LAST], "drpo": {"caller_system": "drop"}}
    )
    assert response.status_code == 200
    assert service.sent.body["messages"] == [SYSTEM, LAST]


async def test_examples_stay_a_prefix_of_the_next_request_where_they_stand_before_the_last_question(
    sqlite_url: str,
) -> None:
    async with opened(sqlite_url, {"examples": "last"}) as service:
        await add_version(service.resources.prompts, "Ours.", examples=EXAMPLES)
        for question in ("Why is the sea blue?", "How long does an egg boil?"):
            turns = [*FIRST, {"role": "user", "content": question}]
            await service.ask({"model": MODEL, "messages": turns})
            told = service.sent.body["messages"]
            assert isinstance(told, list)
            assert told[:3] == [SYSTEM, *FIRST]


@pytest.mark.parametrize(
    ("ours", "param"),
    [
        ({"k": -1}, "drpo.k"),
        ({"k": 65}, "drpo.k"),
        ({"k": "2"}, "drpo.k"),
        ({"examples": "middle"}, "drpo.examples"),
        ({"caller_system": "shout"}, "drpo.caller_system"),
        ({"prompt_version": "pv_\0"}, "drpo.prompt_version"),
    ],
)
async def test_a_policy_that_cannot_be_is_refused(
    service: Service, ours: dict[str, object], param: str
) -> None:
    response = await service.ask({"model": MODEL, "messages": [LAST], "drpo": ours})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
