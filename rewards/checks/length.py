"""How long an answer may be."""

from typing import Literal

from typing_extensions import override

from optimizer.types import Unscored
from rewards.checks.check import FAILED, PASSED, Rule, Verdict
from rewards.checks.words import count_words

Unit = Literal["words", "characters"]


class LengthRule(Rule):
    """Asks that an answer has between ``least`` and ``most`` words or characters.

    Within the range the score is 5. Outside it falls evenly with the distance, down to 1 at ``soft`` units
    beyond the range; with ``soft`` 0 it is 1 at once.
    """

    def __init__(
        self, *, unit: Unit = "words", least: int = 0, most: int | None = None, soft: int = 0
    ) -> None:
        """A range with both ends in it; ``most`` None is no upper end."""
        self._unit = unit
        self._least = least
        self._most = most
        self._soft = soft

    @override
    def judge(self, answer: str) -> Verdict | Unscored:
        count = count_words(answer) if self._unit == "words" else len(answer.strip())
        beyond = max(self._least - count, 0 if self._most is None else count - self._most, 0)
        return Verdict(
            score=self._score(beyond), rationale=f"{count} {self._unit}; {self._range()} are asked for."
        )

    def _score(self, beyond: int) -> float:
        if not beyond:
            return PASSED
        if beyond >= self._soft:
            return FAILED
        return PASSED - (PASSED - FAILED) * beyond / self._soft

    def _range(self) -> str:
        if self._most is None:
            return f"at least {self._least}"
        return f"{self._least} to {self._most}" if self._least else f"at most {self._most}"
