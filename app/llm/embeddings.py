"""Embeddings from any server that speaks the OpenAI protocol (``/v1/embeddings``)."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from typing_extensions import override

from app.llm.errors import Origin, error_in_body
from app.llm.http import BackendClient, encode, post
from app.llm.wire import is_count, read_json
from app.settings import BackendSettings
from optimizer.concurrency import run_together
from optimizer.errors import MalformedResponseError
from optimizer.protocols import ChatModel, Embedder, Vectors
from optimizer.types import (
    Completion,
    CompletionRequest,
    CompletionResult,
    JsonObject,
    JsonValue,
    Message,
    Sampling,
    Usage,
)

Encoding: TypeAlias = Literal["base64", "float"]

PATH = "embeddings"
_NUMBERS = np.dtype("<f4")
_BATCH_CHARACTERS = 200_000
"""Of all texts of a request: servers bound the tokens of a request, not only its texts."""


class _UnreadableError(Exception):
    """What is wrong with an answer."""


class EmbeddingCalls(ChatModel):
    """One request to an embedding model, in the form of a request for completions.

    A text is a message, and its vector a completion: little-endian 32-bit floats in base64. So ledger,
    budget, retries and metering are those of all other calls.
    """

    def __init__(
        self,
        client: BackendClient,
        settings: BackendSettings,
        *,
        origin: Origin,
        encoding: Encoding,
        clock: Callable[[], float],
    ) -> None:
        """The model that ``origin`` names.

        Args:
            client: the backend's client; stays open.
            settings: the backend's time-outs and limits.
            origin: whom to ask.
            encoding: how to ask for vectors; either is understood, whatever was asked for.
            clock: monotonic seconds.
        """
        self._client = client
        self._settings = settings
        self._origin = origin
        self._encoding = encoding
        self._clock = clock

    @property
    @override
    def name(self) -> str:
        return f"{self._origin.backend}/{self._origin.model}"

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        origin = self._origin
        texts: list[JsonValue] = [message.text for message in request.prompt if isinstance(message, Message)]
        body: JsonObject = {"model": origin.model, "input": texts, "encoding_format": self._encoding}
        started = self._clock()
        response = await post(
            self._client, PATH, encode(body, origin=origin), origin=origin, settings=self._settings
        )
        seconds = self._clock() - started
        answer = read_json(response.body, backend=origin.backend)
        error = error_in_body(origin, answer, response.status, content=response.body)
        if error is not None:
            raise error
        try:
            return _read(answer, len(texts), model=origin.model, seconds=seconds)
        except _UnreadableError as error:
            raise MalformedResponseError(
                f"backend {origin.backend} sent embeddings that cannot be read: {error}",
                backend=origin.backend,
            ) from None


class BackendEmbedder(Embedder):
    """An embedding model behind ``calls``, asked in batches."""

    def __init__(self, calls: ChatModel, *, batch_size: int) -> None:
        """Ask ``calls``, which answers as ``EmbeddingCalls`` does, ``batch_size`` texts at once at most."""
        self._calls = calls
        self._batch_size = batch_size

    @property
    @override
    def name(self) -> str:
        return self._calls.name

    @override
    async def embed(self, texts: Sequence[str]) -> Vectors:
        parts = await run_together(self._embed_batch(batch) for batch in batches(texts, self._batch_size))
        if len({part.shape[1] for part in parts}) > 1:
            raise MalformedResponseError(
                f"{self.name} gave vectors of different lengths", backend=self.name.split("/")[0]
            )
        return np.concatenate(parts)

    async def _embed_batch(self, texts: Sequence[str]) -> Vectors:
        request = CompletionRequest(
            prompt=tuple(Message(role="user", content=text) for text in texts),
            sampling=Sampling(max_tokens=0),
            n=len(texts),
        )
        result = await self._calls.complete(request)
        return np.stack([_vector_from_text(completion.text) for completion in result.completions])


def _vector_from_text(text: str) -> Vectors:
    """A vector out of base64.

    Raises:
        _UnreadableError: it is none, is empty, or holds what is no finite number.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise _UnreadableError(f"an embedding that is no base64: {error}") from None
    if not content or len(content) % _NUMBERS.itemsize:
        raise _UnreadableError(f"an embedding of {len(content)} bytes")
    return _finite(np.frombuffer(content, dtype=_NUMBERS))


def _vector_to_text(vector: Vectors) -> str:
    """A vector as base64 of little-endian 32-bit floats."""
    return base64.b64encode(vector.astype(_NUMBERS).tobytes()).decode("ascii")


def _finite(vector: Vectors) -> Vectors:
    if not np.isfinite(vector).all():
        raise _UnreadableError("an embedding with numbers that are not finite")
    return vector.astype(np.float32)


def batches(texts: Sequence[str], size: int) -> list[list[str]]:
    """``texts`` as they are asked for: ``size`` in a request at most, and no more than it can hold."""
    found: list[list[str]] = []
    room = 0
    for text in texts:
        if not found or len(found[-1]) == size or len(text) > room:
            found.append([])
            room = _BATCH_CHARACTERS
        found[-1].append(text)
        room -= len(text)
    return found


def _read(answer: JsonValue, count: int, *, model: str, seconds: float) -> CompletionResult:
    """The vectors in a 2xx body.

    Raises:
        _UnreadableError: what is wrong with it.
    """
    found = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(found, list):
        raise _UnreadableError("a body without data")
    items = [item for item in found if isinstance(item, dict)]
    if len(items) != count or len(items) != len(found):
        raise _UnreadableError(f"{len(found)} embeddings for {count} texts")
    vectors = [_vector(item.get("embedding")) for item in _in_order(items)]
    if len({len(vector) for vector in vectors}) != 1:
        raise _UnreadableError("embeddings of different lengths")
    told = answer.get("model")
    return CompletionResult(
        completions=tuple(Completion(text=_vector_to_text(vector)) for vector in vectors),
        usage=_usage(answer.get("usage")),
        model=told if isinstance(told, str) and told else model,
        seconds=seconds,
    )


def _in_order(items: list[JsonObject]) -> list[JsonObject]:
    """By ``index`` where each has one of its own; else as they came."""
    places = {place: item for item in items if isinstance(place := item.get("index"), int)}
    return [places[place] for place in sorted(places)] if len(places) == len(items) else items


def _vector(value: JsonValue) -> Vectors:
    if isinstance(value, str):
        return _vector_from_text(value)
    if not isinstance(value, list) or not value or not all(_is_number(item) for item in value):
        raise _UnreadableError("an embedding that is neither base64 nor a list of numbers")
    with np.errstate(over="ignore"):
        return _finite(np.array(value, dtype=np.float64).astype(np.float32))


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _usage(usage: JsonValue) -> Usage | None:
    """Tokens of the texts; None where they are not told."""
    if not isinstance(usage, dict):
        return None
    told = usage.get("prompt_tokens", usage.get("total_tokens"))
    return Usage(prompt_tokens=int(str(told))) if is_count(told) else None
