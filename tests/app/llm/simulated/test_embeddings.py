import base64
import struct

import orjson
import pytest

from app.backend_settings import SimulatedSettings
from app.llm.simulated.backend import SimulatedBackend
from app.llm.simulated.embeddings import DIMENSIONS, EMBEDDER, embed


def answer(**body: object) -> tuple[int, dict[str, object]]:
    reply = SimulatedBackend(SimulatedSettings()).answer("POST", "/v1/embeddings", orjson.dumps(body))
    return reply.status, orjson.loads(reply.frames[0])


def likeness(one: str, other: str) -> float:
    return sum(a * b for a, b in zip(embed(one), embed(other), strict=True))


def test_texts_that_share_telling_words_lie_nearer() -> None:
    near = likeness("How do I bake sourdough bread?", "What flour is best for baking bread?")
    assert near > likeness("How do I bake sourdough bread?", "How do I get to the moon?") + 0.2


@pytest.mark.parametrize("text", ["bread", "", "!?", "東京", "x " * 500])
def test_any_text_has_a_vector_of_length_one(text: str) -> None:
    vector = embed(text)
    assert len(vector) == DIMENSIONS
    assert sum(value * value for value in vector) == pytest.approx(1)
    assert embed(text) == vector


def test_both_encodings_say_the_same() -> None:
    _, numbers = answer(model=EMBEDDER, input=["bread", "cake"])
    _, packed = answer(model=EMBEDDER, input=["bread", "cake"], encoding_format="base64")
    for one, other in zip(numbers["data"], packed["data"], strict=True):  # type: ignore[call-overload]
        raw = base64.b64decode(other["embedding"])
        assert list(struct.unpack(f"<{DIMENSIONS}f", raw)) == pytest.approx(one["embedding"], abs=1e-6)
    assert numbers["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": EMBEDDER, "input": "one text"}, 200),
        ({"model": EMBEDDER, "input": ""}, 400),
        ({"model": EMBEDDER, "input": []}, 400),
        ({"model": EMBEDDER}, 400),
        ({"model": "simulated-small", "input": "x"}, 404),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(body: dict[str, object], status: int) -> None:
    assert answer(**body)[0] == status
