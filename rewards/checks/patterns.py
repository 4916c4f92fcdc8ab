"""Regular expressions of users: RE2's, which take time in proportion to the text and never more."""

import re2
from typing_extensions import override

from optimizer.errors import InvalidInputError
from optimizer.types import Unscored
from rewards.checks.check import FAILED, PASSED, Rule, Verdict

MAX_PATTERN = 1000
_SHOWN = 80


class Pattern:
    """A compiled pattern in RE2's syntax: no look-around, no back-references."""

    def __init__(self, text: str) -> None:
        """Compile ``text``.

        Raises:
            InvalidInputError: it is not RE2's syntax, or too large once compiled.
        """
        options = re2.Options()
        options.log_errors = False
        try:
            self._compiled = re2.compile(text, options)
        except (re2.error, UnicodeEncodeError) as error:
            said = error.args[0] if isinstance(error, re2.error) else "it is no valid Unicode"
            reason = said.decode(errors="replace") if isinstance(said, bytes) else said
            raise InvalidInputError(
                f"the pattern cannot be used: {reason} (RE2's syntax, which has no look-around and no "
                "back-references, as these can take for ever)"
            ) from None

    def search(self, text: str) -> tuple[int, int] | None:
        """Where the pattern occurs first in ``text``: start and end; None where it does not."""
        match = self._compiled.search(text.encode("utf-8", "replace").decode())
        return None if match is None else (match.start(), match.end())


class PatternRule(Rule):
    """Asks that a pattern occurs in the answer, or that it does not."""

    def __init__(self, pattern: str, *, wanted: bool = True) -> None:
        """Look for ``pattern``; ``wanted`` says whether it has to be there.

        Raises:
            InvalidInputError: the pattern cannot be used.
        """
        self._pattern = Pattern(pattern)
        self._wanted = wanted

    @override
    def judge(self, answer: str) -> Verdict | Unscored:
        found = self._pattern.search(answer)
        score = PASSED if (found is not None) is self._wanted else FAILED
        if found is None:
            return Verdict(score=score, rationale="The pattern does not occur.")
        shown = answer[found[0] : found[1]][:_SHOWN]
        where = f'at character {found[0] + 1}: "{shown}"' if shown else f"at character {found[0] + 1}."
        return Verdict(score=score, rationale=f"The pattern occurs {where}")
