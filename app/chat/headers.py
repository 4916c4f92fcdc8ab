"""The headers that ask for alignment, and those that say who answered."""

import urllib.parse

VERSION_HEADER = "x-drpo-prompt-version"
ALIGN_HEADER = "x-drpo-align"
MODEL_HEADER = "x-drpo-upstream-model"
RETRIEVAL_HEADER = "x-drpo-retrieval"
BACKEND_HEADER = "x-drpo-backend"
ATTEMPTS_HEADER = "x-drpo-attempts"
FALLBACK_HEADER = "x-drpo-fallback"
CACHE_HEADER = "x-drpo-cache"
AGE_HEADER = "age"
ARM_HEADER = "x-drpo-arm"
STICKY_HEADER = "x-drpo-sticky-key"
UNALIGNED = "none"

_LIMIT = 256


def answer_headers(
    *, upstream_model: str, version_id: str | None, found_by: str | None, arm: str | None = None
) -> dict[str, str]:
    """The headers of an answer: which model gave it, and which prompt version aligned it.

    Where examples were shown they also say what they were found by, and where a release chose the version,
    which of its arms that was.
    """
    headers = {MODEL_HEADER: _header_text(upstream_model), VERSION_HEADER: version_id or UNALIGNED}
    if arm is not None:
        headers[ARM_HEADER] = arm
    return headers if found_by is None else headers | {RETRIEVAL_HEADER: found_by}


def _header_text(text: str) -> str:
    """``text`` as it can stand in a header: a backend's words must not end the line and begin another."""
    short = text[:_LIMIT]
    return short if short.isascii() and short.isprintable() else urllib.parse.quote(short)
