"""How often a wrong key may be tried: guessing the key of the settings must take too long."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from app.clocks import awake_or_asleep

_ADDRESSES: Final = 10_000


class SignInLimits:
    """Counts wrong keys by address, in this process; those of an IPv6 network of 64 bits are one.

    Each address has ``burst`` tries, and gets another one every ``seconds_each``.
    """

    def __init__(
        self, *, burst: int = 10, seconds_each: float = 6.0, clock: Callable[[], float] = awake_or_asleep
    ) -> None:
        """Nobody has tried anything yet; ``clock`` gives monotonic seconds."""
        self._span = burst * seconds_each
        self._seconds_each = seconds_each
        self._clock = clock
        self._free_at: OrderedDict[str, float] = OrderedDict()
        """By address: when all its tries would be there again."""

    def seconds_to_wait(self, address: str) -> float:
        """How long ``address`` has to wait for its next try; 0 where it has one."""
        left = self._free_at.get(_counted(address), 0.0) - self._clock()
        return max(0.0, left + self._seconds_each - self._span)

    def note_wrong_key(self, address: str) -> None:
        """Take a try from ``address``."""
        now, address = self._clock(), _counted(address)
        self._free_at[address] = max(now, self._free_at.get(address, now)) + self._seconds_each
        self._free_at.move_to_end(address)
        while len(self._free_at) > _ADDRESSES:
            self._free_at.popitem(last=False)


def _counted(address: str) -> str:
    """What an address counts as: whoever has one IPv6 address usually has 2^64 of them."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
