"""Words as readers of any script see them: counted, and found whole."""

import unicodedata

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # kana
    (0x3400, 0x9FFF),  # Chinese characters
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)
"""Scripts that put no spaces between words."""


def folded(text: str) -> str:
    """``text`` as words are compared: compatible forms, case and invisible characters do not count."""
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold()).split())


def find_word(word: str, text: str) -> bool:
    """Whether ``word`` stands in ``text`` as a whole word; both are ``folded``, ``word`` is not empty.

    In a script without spaces, where a word ends cannot be seen: there it is found anywhere.
    """
    start = text.find(word)
    while start != -1:
        end = start + len(word)
        if not (_joined(text[start - 1 : start], word[0]) or _joined(word[-1], text[end : end + 1])):
            return True
        start = text.find(word, start + 1)
    return False


def count_words(text: str) -> int:
    """The words in ``text``; each letter of a script without spaces counts as one."""
    count = 0
    for token in text.split():
        unspaced = sum(map(_is_unspaced, token))
        spaced = any(char.isalnum() and not _is_unspaced(char) for char in token)
        count += unspaced + spaced
    return count


def _joined(left: str, right: str) -> bool:
    """Whether two characters belong to the same word; either may be missing."""
    pair = (left, right)
    return all(char and _in_word(char) for char in pair) and not any(map(_is_unspaced, pair))


def _in_word(char: str) -> bool:
    return char == "_" or unicodedata.category(char)[0] in "LMN"


def _is_unspaced(char: str) -> bool:
    return any(low <= ord(char) <= high for low, high in _UNSPACED)
