"""The adapter of ``/v1/embeddings``: what it sends, and what it makes of what comes back."""

import base64
import struct

import numpy as np
import pytest

from app.llm.embeddings import BackendEmbedder
from app.settings import Settings
from optimizer.errors import (
    BackendUnavailableError,
    MalformedResponseError,
    MisconfiguredError,
    ModelError,
    RateLimitedError,
    RequestRefusedError,
)
from optimizer.types import JsonValue, Usage
from tests.app.llm.opening import backend_settings, open_embedding_calls
from tests.app.llm.scripted import small_request
from tests.fakes.embeddings import embeddings
from tests.fakes.openai_server import Answer, Drop, Reply, error, serve


def row(index: JsonValue, embedding: JsonValue) -> JsonValue:
    return {"object": "embedding", "index": index, "embedding": embedding}


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


async def embed(reply: Reply, *texts: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    async with serve() as fake:
        fake.push(reply)
        async with open_embedding_calls(backend_settings(fake)) as calls:
            found: np.ndarray[tuple[int, int], np.dtype[np.float32]] = await BackendEmbedder(
                calls, batch_size=8
            ).embed(texts)
            return found


async def test_texts_are_asked_for_in_batches_with_the_key_and_the_encoding() -> None:
    async with serve() as fake:
        fake.script = embeddings
        async with open_embedding_calls(backend_settings(fake), model="e-1") as calls:
            embedder = BackendEmbedder(calls, batch_size=2)
            await embedder.embed(["a", "b", "c"])
        assert embedder.name == "b/e-1"
        assert [exchange.path for exchange in fake.requests] == ["/v1/embeddings"] * 2
        assert sorted(str(exchange.body["input"]) for exchange in fake.requests) == ["['a', 'b']", "['c']"]
        body = fake.requests[0].body
        assert (body["model"], body["encoding_format"]) == ("e-1", "base64")
        assert fake.requests[0].headers["authorization"].startswith("Bearer ")


async def test_very_long_texts_are_asked_for_one_by_one() -> None:
    async with serve() as fake:
        fake.script = embeddings
        async with open_embedding_calls(backend_settings(fake)) as calls:
            await BackendEmbedder(calls, batch_size=64).embed(["a " * 75_000, "b " * 75_000, "c"])
        assert len(fake.requests) == 2


@pytest.mark.parametrize(
    "data",
    [
        [row(1, [3, 4.5]), row(0, [1, 2])],
        [row(1, packed(3, 4.5)), row(0, packed(1, 2))],
        [row(0, [1, 2]), row(0, packed(3, 4.5))],
        [row(None, [1, 2]), row(None, [3, 4.5])],
    ],
)
async def test_either_encoding_in_any_order_is_understood(data: JsonValue) -> None:
    assert (await embed(Answer(body={"data": data}), "x", "y")).tolist() == [[1, 2], [3, 4.5]]


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"object": "list"},
        {"data": {}},
        {"data": []},
        {"data": [row(0, [1.0])]},
        {"data": ["x", "y"]},
        {"data": [row(0, [1.0]), row(1, [1.0, 2.0])]},
        {"data": [row(0, []), row(1, [])]},
        {"data": [row(0, [True]), row(1, [False])]},
        {"data": [row(0, ["a"]), row(1, ["b"])]},
        {"data": [row(0, None), row(1, None)]},
        {"data": [row(0, "not base64!"), row(1, "")]},
        {"data": [row(0, ""), row(1, "")]},
        {"data": [row(0, "AAAA"), row(1, "AAAA")]},
        {"data": [row(0, packed(float("nan"))), row(1, packed(1.0))]},
        {"data": [row(0, [1e300]), row(1, [1.0])]},
    ],
)
async def test_what_is_no_vector_for_each_text_is_malformed(body: JsonValue) -> None:
    with pytest.raises(MalformedResponseError):
        await embed(Answer(body=body), "x", "y")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (error(429), RateLimitedError),
        (error(503), BackendUnavailableError),
        (Drop(), BackendUnavailableError),
        (Answer(body=b"<html>"), MalformedResponseError),
        (error(400, "too long"), RequestRefusedError),
        (error(404, "no such model"), MisconfiguredError),
        (Answer(body={"error": {"message": "no", "code": 500}}), BackendUnavailableError),
    ],
)
async def test_what_goes_wrong_is_an_error_of_its_kind(reply: Reply, kind: type[ModelError]) -> None:
    with pytest.raises(kind):
        await embed(reply, "x")


async def test_batches_with_vectors_of_different_lengths_are_malformed() -> None:
    async with serve() as fake:
        fake.push(Answer(body={"data": [row(0, [1.0])]}), Answer(body={"data": [row(0, [1.0, 2.0])]}))
        async with open_embedding_calls(backend_settings(fake)) as calls:
            with pytest.raises(MalformedResponseError, match="different lengths"):
                await BackendEmbedder(calls, batch_size=1).embed(["x", "y"])


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 5, "total_tokens": 6}, Usage(prompt_tokens=5)),
        ({"total_tokens": 6}, Usage(prompt_tokens=6)),
        ({"total_tokens": "many"}, None),
        (None, None),
    ],
)
async def test_tokens_are_those_of_the_texts(usage: JsonValue, counted: Usage | None) -> None:
    async with serve() as fake:
        fake.push(Answer(body={"data": [row(0, [1.0])], "usage": usage, "model": "told"}))
        async with open_embedding_calls(backend_settings(fake)) as calls:
            result = await calls.complete(small_request())
    assert (result.usage, result.model) == (counted, "told")


@pytest.mark.parametrize(
    ("retrieval", "problem"),
    [
        ({"kind": "backend", "model": "e"}, "backend is missing"),
        ({"kind": "local"}, "model is missing"),
        ({"kind": "lexical", "model": "e"}, "uses no model"),
        ({"kind": "local", "model": "e", "backend": "simulated"}, "uses no backend"),
        ({"kind": "backend", "model": "e", "backend": "nowhere"}, "retrieval.backend is 'nowhere'"),
    ],
)
def test_settings_that_cannot_work_are_refused(retrieval: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Settings.model_validate({"retrieval": retrieval})
