"""What every ``Embedder`` has to do; subclass it with a fixture ``embedder`` over each implementation."""

import numpy as np
import pytest

from optimizer.concurrency import run_together
from optimizer.protocols import Embedder

TEXTS = (
    "How do I bake sourdough bread at home?",
    "How do I bake bread at home?",
    "Which planets have rings?",
    "東京 の 天気",
)


class EmbedderContract:
    """The suite."""

    async def test_each_text_has_a_row_of_finite_numbers(self, embedder: Embedder) -> None:
        vectors = await embedder.embed(TEXTS)
        assert vectors.dtype == np.float32
        assert vectors.ndim == 2
        assert len(vectors) == len(TEXTS)
        assert np.isfinite(vectors).all()
        assert "/" in embedder.name

    async def test_the_same_text_has_the_same_vector_whatever_stands_beside_it(
        self, embedder: Embedder
    ) -> None:
        together = await embedder.embed(TEXTS)
        alone = [(await embedder.embed([text]))[0] for text in TEXTS]
        for one, other in zip(together, alone, strict=True):
            assert one == pytest.approx(other, abs=1e-5)

    async def test_texts_that_say_nearly_the_same_lie_nearer_than_others(self, embedder: Embedder) -> None:
        vectors = await embedder.embed(TEXTS[:3])
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        assert unit[0] @ unit[1] > unit[0] @ unit[2] + 0.1

    async def test_more_texts_than_fit_into_one_request_come_in_their_order(self, embedder: Embedder) -> None:
        many = [f"text number {number}" for number in range(9)]
        together = await embedder.embed(many)
        assert together[7] == pytest.approx((await embedder.embed([many[7]]))[0], abs=1e-5)
        assert len(together) == 9

    async def test_calls_at_once_don_t_mix(self, embedder: Embedder) -> None:
        alone = [await embedder.embed([text]) for text in TEXTS]
        together = await run_together(embedder.embed([text]) for text in TEXTS)
        for one, other in zip(together, alone, strict=True):
            assert one[0] == pytest.approx(other[0], abs=1e-5)
