"""When a message is tried again, and when it is given up."""

import math

from app.webhook_settings import WebhookSettings

_FACTOR = 3.0
_MOST_STEPS = 60


def next_wait(
    settings: WebhookSettings, *, attempts: int, age: float, draw: float, asked: float | None = None
) -> float | None:
    """Seconds until the next attempt, or None where there is none.

    Waits treble, and each is shortened by up to a half at random: receivers that were away must not be met by
    all messages at once.

    Args:
        settings: how patiently.
        attempts: made so far, at least 1.
        age: seconds since the message was queued.
        draw: from 0 to 1.
        asked: seconds that the receiver has asked to wait for.
    """
    longest = settings.max_wait_seconds
    wait = min(longest, settings.first_wait_seconds * math.pow(_FACTOR, min(attempts - 1, _MOST_STEPS)))
    wait *= 1 - draw / 2
    if asked is not None:
        wait = max(wait, min(asked, longest))
    return None if age + wait > settings.give_up_seconds else wait
