"""The ids of answers: ours, since backends give theirs twice, and feedback has to find one answer."""

import re
import time
from typing import Final

from app.random_bytes import RANDOM

_TIME_BYTES: Final = 6
_RANDOM_BYTES: Final = 8
_LENGTH: Final = 2 * (_TIME_BYTES + _RANDOM_BYTES)
PREFIXES: Final = ("chatcmpl-", "cmpl-", "resp_")
_ID: Final = re.compile(f"(?:{'|'.join(PREFIXES)})([0-9a-f]{{{_LENGTH}}})")
CHAT_PREFIX, TEXT_PREFIX, RESPONSE_PREFIX = PREFIXES


def new_token() -> bytes:
    """What the id of a new answer is made of: the time, and 64 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    return milliseconds.to_bytes(_TIME_BYTES) + RANDOM.take(_RANDOM_BYTES)


def token_of(answer_id: str) -> bytes | None:
    """What ``answer_id`` is made of; None where we cannot have given it."""
    found = _ID.fullmatch(answer_id)
    return None if found is None else bytes.fromhex(found[1])


def age_of(token: bytes) -> float:
    """How many seconds ago ``token`` was made, by this machine's clock; below 0 where others are ahead."""
    return time.time_ns() / 1e9 - int.from_bytes(token[:_TIME_BYTES]) / 1000
