"""Texts or tokens, as plain completions and embeddings take them."""

from app.errors import invalid_request
from optimizer.types import JsonValue


def check_texts(value: JsonValue, *, field: str) -> None:
    """Refuse what is neither a text, a list of texts, a list of tokens, nor a list of such lists.

    Raises:
        ApiError: 400, naming ``field``.
    """
    if isinstance(value, str):
        return
    if isinstance(value, list) and value:
        if all(isinstance(item, str) for item in value):
            return
        if _are_tokens(value) or all(_are_tokens(item) for item in value):
            return
    raise invalid_request(
        f"{field} has to be a text, a list of texts, a list of tokens, or a list of such lists", param=field
    )


def _are_tokens(value: JsonValue) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)
