"""API keys as text: ``drpo_``, twelve characters that name the key, and 256 random bits."""

import hashlib
import re
import secrets
from typing import Final

_FORM: Final = re.compile(r"(drpo_[0-9a-f]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_NAME_BYTES: Final = 6
_SECRET_BYTES: Final = 32


def new_key() -> str:
    """A key that nobody else has."""
    return f"drpo_{secrets.token_hex(_NAME_BYTES)}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def prefix_of(text: str) -> str | None:
    """The part of a key that may be shown, and by which it is found; None for what is no key of ours."""
    match = _FORM.fullmatch(text)
    return None if match is None else match[1]


def digest_of(text: str) -> str:
    """SHA-256 in hexadecimal. A slow hash protects guessable secrets; 256 random bits are none."""
    return hashlib.sha256(text.encode()).hexdigest()
