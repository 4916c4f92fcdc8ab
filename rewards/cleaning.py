"""Making a model's names and texts fit to be kept, shown and compared."""

import re
import unicodedata
from functools import lru_cache

from optimizer.quoting import quote, quote_inline, unquote

MAX_NAME = 40
MAX_TEXT = 2000

_ENUMERATION = re.compile(r"^(?:\d{1,2} ?[.):]|[\W_])+")
_REMARK = re.compile(r"[:(\[{<].*$")
_JOINERS = " -'&/"


@lru_cache(maxsize=1024)  # the same few names come with every score
def clean_name(text: str) -> str:
    """The name in ``text``: one line of words without enumeration, emphasis or remark.

    Returns:
        At most 40 characters, or an empty string where ``text`` names nothing.
    """
    line = quote_inline(unicodedata.normalize("NFKC", text)).text
    name = _REMARK.sub("", _ENUMERATION.sub("", line)).replace("_", " ")
    kept = "".join(char for char in name if unicodedata.category(char)[0] in "LMN" or char in _JOINERS)
    short = " ".join(unicodedata.normalize("NFKC", kept).split())[:MAX_NAME].strip(_JOINERS)
    return short if any(char.isalpha() for char in short) else ""


def name_key(text: str) -> str:
    """What names are compared by: case, spaces, hyphens and underscores do not count.

    Returns:
        An empty string where ``text`` names nothing.
    """
    folded = unicodedata.normalize("NFKC", clean_name(text).casefold())
    return "".join(char for char in folded if char not in _JOINERS)


def clean_text(text: str, *, limit: int = MAX_TEXT) -> str:
    """``text`` without control characters and lone surrogates, at most ``limit`` characters."""
    return unquote(quote(text[:limit]).text).strip()


def clean_line(text: str, *, limit: int) -> str:
    """``text`` in one line, otherwise as ``clean_text``."""
    return quote_inline(text, limit=limit).text.strip()
