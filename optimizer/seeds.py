"""Seeds that come from a place in the run or from content, never from the order in which things finish."""

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


def content_seed(seed: int, role: str, *content: str, draw: int = 0) -> int:
    """A seed for the call in ``role`` that ``content`` names: the same wherever in a run it is made.

    Equal calls so stay equal calls in another round or slot, and are found again in the call ledger under
    other search settings. Whoever wants another answer to the same call asks for another draw.

    Args:
        seed: the run's seed.
        role: the role that is called.
        content: what the call is about, such as a prompt and a query's id; any text.
        draw: which of several independent draws it is, from 0.

    Returns:
        0..2**31-1, the same for the same arguments on every machine.
    """
    named = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in content)
    return derive_seed(seed, role, *named, draw)
