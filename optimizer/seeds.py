"""Seeds that come from a place in the run, never from the order in which things finish."""

import hashlib


def derive_seed(seed: int, *place: str | int) -> int:
    """A seed for ``place`` in a run that was started with ``seed``.

    Args:
        seed: the run's seed.
        place: what names the draw: role, round, slots.

    Returns:
        0..2**31-1, the same for the same arguments on every machine.
    """
    text = "\x1f".join([str(seed), *(str(part) for part in place)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) & 0x7FFFFFFF
