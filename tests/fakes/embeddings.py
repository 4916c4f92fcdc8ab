"""Embedders without a model: words counted, in process and behind ``/v1/embeddings``."""

import base64
import hashlib
import json
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from typing_extensions import override

from optimizer.protocols import Embedder, Vectors
from optimizer.types import JsonValue
from tests.fakes.openai_server import Answer, Exchange, Reply

WIDTH = 64


def word_vector(text: str) -> list[float]:
    """Each word counts at the place that its hash names."""
    vector = [0.0] * WIDTH
    for word in text.lower().split():
        vector[hashlib.sha256(word.encode()).digest()[0] % WIDTH] += 1.0
    return vector


class WordEmbedder(Embedder):
    """Counts words.

    Attributes:
        asked: the texts of each request.
        fails_with: raised instead of an answer.
    """

    def __init__(self, name: str = "fake/words") -> None:
        self.asked: list[tuple[str, ...]] = []
        self.fails_with: Exception | None = None
        self._name = name

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.append(tuple(texts))
        if self.fails_with is not None:
            raise self.fails_with
        return np.array([word_vector(text) for text in texts], dtype=np.float32)


def embeddings(exchange: Exchange) -> Reply:
    """What a good backend answers to a request for embeddings, in the encoding asked for."""
    texts = exchange.body["input"]
    assert isinstance(texts, list)
    in_base64 = exchange.body.get("encoding_format") == "base64"
    rows: list[JsonValue] = []
    for index, text in enumerate(texts):
        vector = word_vector(str(text))
        packed = base64.b64encode(struct.pack(f"<{WIDTH}f", *vector)).decode()
        numbers: list[JsonValue] = list(vector)
        rows.append({"object": "embedding", "index": index, "embedding": packed if in_base64 else numbers})
    usage: JsonValue = {"prompt_tokens": 3 * len(texts), "total_tokens": 3 * len(texts)}
    model = exchange.body["model"]
    return Answer(body={"object": "list", "data": rows[::-1], "model": model, "usage": usage})


class WordEncoder:
    """Has the interface of a ``SentenceTransformer``; ``broken`` makes it give something else."""

    def __init__(self, folder: Path, *, broken: object = None) -> None:
        self.folder = folder
        self.broken = broken
        self.batches: list[int] = []

    def encode(self, sentences: list[str], *, batch_size: int, show_progress_bar: bool) -> object:
        """A matrix."""
        assert not show_progress_bar
        self.batches.append(batch_size)
        return self.broken or np.array([word_vector(text) for text in sentences])


def model_folder(folder: Path, content: str = "{}") -> Path:
    """A folder that looks like a sentence-transformers model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modules.json").write_text(json.dumps([]), encoding="utf-8")
    (folder / "config.json").write_text(content, encoding="utf-8")
    return folder
