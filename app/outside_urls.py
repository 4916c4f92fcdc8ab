"""URLs that users have this machine call: read strictly, since whoever names one reaches into its network."""

from dataclasses import dataclass

import httpx

from optimizer.errors import InvalidInputError

_LARGEST_PORT = 65535


@dataclass(frozen=True, kw_only=True, slots=True)
class OutsideUrl:
    """A URL that may be called, if its place may.

    Attributes:
        host: without brackets.
        place: ``host:port``, an IPv6 address in brackets.
    """

    url: str
    host: str
    port: int
    place: str


def read_outside_url(text: str) -> OutsideUrl:
    """What ``text`` says.

    Raises:
        InvalidInputError: it is no URL of HTTP, or holds what belongs elsewhere.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        raise InvalidInputError(f"this is no URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise InvalidInputError("the URL has to begin with http:// or https:// and name a host")
    if url.port is not None and not 0 < url.port <= _LARGEST_PORT:
        raise InvalidInputError(f"there is no port {url.port}")
    if url.userinfo or url.fragment:
        raise InvalidInputError("leave user, password and fragment out of the URL: use headers for keys")
    port = url.port or (443 if url.scheme == "https" else 80)
    bracketed = f"[{url.host}]" if ":" in url.host else url.host
    return OutsideUrl(url=str(url), host=url.host, port=port, place=f"{bracketed}:{port}")


def plain_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """``hosts`` in lower case.

    Raises:
        ValueError: one is no name or address, with or without a port.
    """
    for host in hosts:
        if not host or "/" in host or "@" in host or "*" in host:
            raise ValueError(f"{host!r} is no host: give names or addresses, with a port or without")
    return tuple(host.lower() for host in hosts)
