"""What every ``TextScorer`` promises. Subclass, and give the fixture ``open_scorer``."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import pytest

from app.llm.text_scoring import TextScorer
from optimizer.concurrency import run_together
from optimizer.errors import InvalidInputError
from optimizer.rendering import render_text
from optimizer.types import Message

OpenScorer: TypeAlias = Callable[[bool], AbstractAsyncContextManager[TextScorer]]
"""Opens a model: one with a chat template, or (True) a base model, which takes text."""

SYSTEM = "Answer in a few warm and clear sentences."
QUERY = "How do I keep a basil plant alive through the winter?"
TEXTS = (
    "Keep it warm, near a bright window, and water it a little.",
    "You can start small: be patient, and ask again.\n\nThe point is simple.",
    "Füße und Kräuter: 25 °C, später mehr.",
    "Yes",
)


def question(system: str, query: str, *, plain: bool) -> tuple[Message, ...] | str:
    """A request as the search renders it."""
    asked = (Message(role="user", content=query),)
    return render_text(system, (), asked) if plain else (Message(role="system", content=system), *asked)


def solid(text: str) -> str:
    """What is sure to be in a text's tokens."""
    return "".join(char for char in text if char.isascii() and not char.isspace())


class TextScorerContract:
    """The suite."""

    @pytest.fixture(params=[False, True], ids=["chat", "base"])
    def plain(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param)

    @pytest.mark.parametrize("text", TEXTS)
    async def test_the_tokens_are_those_of_the_text(
        self, open_scorer: OpenScorer, plain: bool, text: str
    ) -> None:
        async with open_scorer(plain) as scorer:
            scored = await scorer.score(question(SYSTEM, QUERY, plain=plain), text)
        assert solid("".join(token.text for token in scored.tokens)) == solid(text)
        assert all(token.logprob <= 0 for token in scored.tokens)
        assert scored.logprob == pytest.approx(scored.mean_logprob * len(scored.tokens))
        assert "/" in scorer.name

    async def test_the_same_text_is_as_likely_each_time_and_another_one_is_not(
        self, open_scorer: OpenScorer, plain: bool
    ) -> None:
        asked = question(SYSTEM, QUERY, plain=plain)
        async with open_scorer(plain) as scorer:
            first, again, other = [
                (await scorer.score(asked, text)).logprob for text in (TEXTS[0], TEXTS[0], TEXTS[1])
            ]
        assert first == pytest.approx(again, abs=1e-3)
        assert other != pytest.approx(first, abs=1e-3)

    async def test_what_was_asked_decides_how_likely_a_text_is(
        self, open_scorer: OpenScorer, plain: bool
    ) -> None:
        async with open_scorer(plain) as scorer:
            one, other = [
                (await scorer.score(question(SYSTEM, query, plain=plain), TEXTS[0])).logprob
                for query in (QUERY, "Write a limerick about tax law.")
            ]
        assert one != pytest.approx(other, abs=1e-3)

    async def test_texts_at_once_don_t_mix(self, open_scorer: OpenScorer, plain: bool) -> None:
        asked = question(SYSTEM, QUERY, plain=plain)
        async with open_scorer(plain) as scorer:
            alone = [(await scorer.score(asked, text)).logprob for text in TEXTS]
            together = await run_together(scorer.score(asked, text) for text in TEXTS)
        assert [scored.logprob for scored in together] == pytest.approx(alone, abs=1e-3)

    async def test_a_blank_text_is_refused(self, open_scorer: OpenScorer, plain: bool) -> None:
        async with open_scorer(plain) as scorer:
            with pytest.raises(InvalidInputError):
                await scorer.score(question(SYSTEM, QUERY, plain=plain), " \n")
