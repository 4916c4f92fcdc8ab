"""Words that an answer must not hold."""

from collections.abc import Sequence

from typing_extensions import override

from optimizer.errors import InvalidInputError
from optimizer.types import Unscored
from rewards.checks.check import FAILED, PASSED, Rule, Verdict
from rewards.checks.words import find_word, folded


class ForbiddenWordsRule(Rule):
    """Asks that none of some words or phrases stands in the answer, however it is cased or spaced."""

    def __init__(self, words: Sequence[str]) -> None:
        """Look for ``words``.

        Raises:
            InvalidInputError: one of them is blank.
        """
        self._words = {folded(word): word for word in words}
        if not all(self._words):
            raise InvalidInputError("a forbidden word is blank")

    @override
    def judge(self, answer: str) -> Verdict | Unscored:
        text = folded(answer)
        found = [word for plain, word in self._words.items() if find_word(plain, text)]
        if not found:
            return Verdict(score=PASSED, rationale="None of the forbidden words occurs.")
        return Verdict(score=FAILED, rationale=f"Forbidden words occur: {', '.join(found)}.")
