"""Words as readers of any script see them: counted, and found whole."""

import re
import unicodedata

import re2

from rewards.checks.patterns import Pattern

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
"""Thai, Lao, Burmese, Khmer, kana, Chinese characters: they put no spaces between words."""
_UNSPACED_LETTER = re.compile(f"[{_UNSPACED}]")
_OUTSIDE = rf"[^\pL\pM\pN_]|[{_UNSPACED}]"
"""What can stand beside a word without being a part of it."""


def folded(text: str) -> str:
    """``text`` as words are compared: compatible forms, case and invisible characters do not count."""
    if text.isascii():
        return " ".join(text.lower().split())
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold()).split())


def whole_word(word: str) -> Pattern:
    """Finds ``word`` (``folded`` and not empty) as a whole word in folded text, in linear time.

    In a script without spaces, where a word ends cannot be seen: there it is found anywhere.
    """
    before = f"(?:^|{_OUTSIDE})" if _joins(word[0]) else ""
    after = f"(?:$|{_OUTSIDE})" if _joins(word[-1]) else ""
    return Pattern(f"{before}{re2.escape(word)}{after}")


def count_words(text: str) -> int:
    """The words in ``text``; each letter of a script without spaces counts as one."""
    tokens = _UNSPACED_LETTER.sub(" ", text).split()
    return len(_UNSPACED_LETTER.findall(text)) + sum(any(map(str.isalnum, token)) for token in tokens)


def _joins(char: str) -> bool:
    """Whether ``char`` makes one word with a letter beside it."""
    in_word = char == "_" or unicodedata.category(char)[0] in "LMN"
    return in_word and _UNSPACED_LETTER.match(char) is None
