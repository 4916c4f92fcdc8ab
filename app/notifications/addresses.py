"""Which receivers may be called: public addresses, and private ones that an operator has named."""

import ipaddress
import re
import socket
from collections.abc import Collection
from typing import TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from typing_extensions import override

from app.outside_urls import read_outside_url
from optimizer.errors import InvalidInputError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NOBODY_S = (ipaddress.ip_network("::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""Wrapped addresses of an old form, and of private networks' translators; Python calls some global."""
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_LOCAL_NAMES = ("localhost", ".localhost", ".local", ".internal")


class ForbiddenAddressError(OSError):
    """A host has an address that may not be called."""


def is_public(text: str) -> bool:
    """Whether ``text`` is an address on the public internet, whatever it is wrapped in."""
    try:
        address: Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if any(address in network for network in _NOBODY_S):
        return False
    return _inner(address).is_global and not address.is_multicast


def _inner(address: Address) -> Address:
    """The IPv4 address that ``address`` leads to, where it wraps one: translators would call that."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    wrapped = address.ipv4_mapped or address.sixtofour
    if wrapped is None and address in _NAT64:
        wrapped = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return wrapped or address


class ReceiverPolicy:
    """Where receivers may be."""

    def __init__(self, private_hosts: Collection[str]) -> None:
        """Public hosts, and those in ``private_hosts`` (host or host:port, lower case)."""
        self._private_hosts = frozenset(private_hosts)

    def check_url(self, text: str) -> str:
        """``text`` as it may be called, as far as can be seen without asking for its address.

        Raises:
            InvalidInputError: it may not.
        """
        try:
            found = read_outside_url(text)
        except InvalidInputError as error:
            raise InvalidInputError(str(error), param="url") from None
        if self.is_named(found.host, found.port):
            return found.url
        _check_form(found.host)
        name = found.host.removesuffix(".")
        local = name in _LOCAL_NAMES or name.endswith(_LOCAL_NAMES[1:]) or "." not in name
        if _is_address(name):
            local = not is_public(name)
        if local:
            raise InvalidInputError(
                f"{found.place} is not on the public internet: an operator can add it to "
                "webhooks.private_hosts",
                param="url",
            )
        return found.url

    def is_named(self, host: str, port: int) -> bool:
        """Whether an operator has named this place."""
        bracketed = f"[{host}]" if ":" in host else host
        return not self._private_hosts.isdisjoint({host, f"{bracketed}:{port}"})


class GuardedResolver(AbstractResolver):
    """Resolves names to addresses that may be called.

    The addresses that are checked are the ones that are connected to: a name cannot change between the two.
    """

    def __init__(self, policy: ReceiverPolicy) -> None:
        """Names under ``policy``."""
        self._policy = policy
        self._resolver = ThreadedResolver()

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of ``host``.

        Raises:
            ForbiddenAddressError: one of them may not be called.
        """
        found = await self._resolver.resolve(host, port, family)
        if not self._policy.is_named(host, port):
            for item in found:
                if not is_public(item["host"]):
                    raise ForbiddenAddressError(f"{host} leads into a private network")
        return found

    @override
    async def close(self) -> None:
        await self._resolver.close()


def _check_form(host: str) -> None:
    """Refuse what resolvers read as an address and nobody else does, such as 127.1, and what is no name.

    Raises:
        InvalidInputError: it is one of these.
    """
    name = host.removesuffix(".")
    if _is_address(name) and not host.endswith("."):
        return
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        raise InvalidInputError(
            f"{host[:64]} ends in a number and is no plain address: write an address as four decimal numbers "
            "with dots between them, and nothing after them",
            param="url",
        )
    if not all(labels) or "%" in name:
        raise InvalidInputError(f"{host[:64]} is no host name: write it without escapes", param="url")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
