"""The headers that ask for alignment, and those that say who answered."""

import urllib.parse

VERSION_HEADER = "x-drpo-prompt-version"
ALIGN_HEADER = "x-drpo-align"
MODEL_HEADER = "x-drpo-upstream-model"
UNALIGNED = "none"

_LIMIT = 256


def answer_headers(*, upstream_model: str, version_id: str | None) -> dict[str, str]:
    """The headers of an answer: which model gave it, and which prompt version aligned it."""
    return {MODEL_HEADER: _header_text(upstream_model), VERSION_HEADER: version_id or UNALIGNED}


def _header_text(text: str) -> str:
    """``text`` as it can stand in a header: a backend's words must not end the line and begin another."""
    short = text[:_LIMIT]
    return short if short.isascii() and short.isprintable() else urllib.parse.quote(short)
