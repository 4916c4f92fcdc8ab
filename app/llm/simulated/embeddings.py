"""The simulated embedding model: a text's words, hashed into a vector, so that like texts lie together."""

import base64
import math
import struct
from collections import Counter
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from app.llm.simulated.banks import query_words
from app.llm.simulated.draws import digest
from app.llm.simulated.plain import plain
from app.llm.simulated.wire import count_tokens

EMBEDDER = "simulated-embedder"
DIMENSIONS = 512

_STEM = 5
"""Letters of a word that count: so words are near their plurals and other forms."""
_DULL = 0.1
"""Weight of a word that every text may have, and of a very short one."""
_SHORT = 3


_Text = Annotated[str, Field(min_length=1)]


class EmbeddingsBody(BaseModel):
    """A request for embeddings of one text or of several."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    input: _Text | Annotated[list[_Text], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"

    @property
    def texts(self) -> list[str]:
        """What is to be embedded."""
        return [self.input] if isinstance(self.input, str) else self.input


def embeddings_body(body: EmbeddingsBody) -> bytes:
    """The response to ``body``."""
    shown: list[dict[str, object]] = []
    for index, text in enumerate(body.texts):
        vector: list[float] | str = embed(text)
        if body.encoding_format == "base64":
            vector = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *embed(text))).decode("ascii")
        shown.append({"object": "embedding", "index": index, "embedding": vector})
    tokens = sum(map(count_tokens, body.texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return orjson.dumps({"object": "list", "data": shown, "model": body.model, "usage": usage})


def embed(text: str) -> list[float]:
    """The vector of ``text``, of length 1; the same for the same text in every world."""
    vector = [0.0] * DIMENSIONS
    stop = query_words().stop
    for word, count in Counter(plain(text).split()).items():
        dull = word in stop or len(word) <= _SHORT
        weight = (_DULL if dull and word.isascii() else 1.0) * math.sqrt(count)
        place = digest("embedding", word[:_STEM])
        vector[place % DIMENSIONS] += weight if place >> 63 else -weight
    length = math.sqrt(sum(value * value for value in vector))
    if length == 0.0:
        vector[0] = length = 1.0
    return [value / length for value in vector]
