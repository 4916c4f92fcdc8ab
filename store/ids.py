"""Random identifiers."""

import secrets


def new_id(prefix: str) -> str:
    """An identifier such as ``opt_5f0c...``: the prefix and 96 random bits."""
    return f"{prefix}_{secrets.token_hex(12)}"
