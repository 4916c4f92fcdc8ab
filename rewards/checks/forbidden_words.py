"""Words that an answer must not hold."""

from collections.abc import Sequence

from typing_extensions import override

from optimizer.errors import InvalidInputError
from optimizer.types import Unscored
from rewards.checks.check import FAILED, PASSED, Rule, Verdict
from rewards.checks.words import folded, whole_word


class ForbiddenWordsRule(Rule):
    """Asks that none of some words or phrases stands in the answer, however it is cased or spaced."""

    def __init__(self, words: Sequence[str]) -> None:
        """Look for ``words``.

        Raises:
            InvalidInputError: one of them is blank, or no valid Unicode.
        """
        plain = [folded(word) for word in words]
        if not all(plain):
            raise InvalidInputError("a forbidden word is blank")
        self._patterns = {word: whole_word(text) for word, text in zip(words, plain, strict=True)}

    @override
    def judge(self, answer: str) -> Verdict | Unscored:
        text = folded(answer)
        found = [word for word, pattern in self._patterns.items() if pattern.search(text) is not None]
        if not found:
            return Verdict(score=PASSED, rationale="None of the forbidden words occurs.")
        return Verdict(score=FAILED, rationale=f"Forbidden words occur: {', '.join(found)}.")
