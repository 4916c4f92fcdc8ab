"""One attempt to tell a webhook something: a POST that is bounded in time, size and reach."""

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import aiohttp
from yarl import URL

from app.llm.errors import retry_after
from app.notifications.addresses import ForbiddenAddressError, GuardedResolver, ReceiverPolicy, is_public
from app.version import VERSION

_SAID = 500
"""Bytes of a reply that are kept."""
_GONE = 410
_FIRST_OK, _FIRST_REDIRECT, _FIRST_REFUSAL = 200, 300, 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came of an attempt.

    Attributes:
        status: of the response, or None without one.
        text: the beginning of the response.
        error: why it does not count, or None where it does.
        retry_after: seconds that the receiver has asked to wait for.
    """

    status: int | None = None
    text: str | None = None
    error: str | None = None
    retry_after: float | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants to be told nothing any more."""
        return self.status == _GONE


class WebhookSender:
    """POSTs messages. Use as ``async with WebhookSender(...)``."""

    def __init__(self, policy: ReceiverPolicy, *, timeout_seconds: float) -> None:
        """A sender to where ``policy`` allows, for at most ``timeout_seconds`` each."""
        self._policy = policy
        self._timeout = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open; nothing is connected yet."""
        connector = aiohttp.TCPConnector(
            limit=0, resolver=GuardedResolver(self._policy), use_dns_cache=False, force_close=True
        )
        self._session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
        )
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Close."""
        if self._session is not None:
            await self._session.close()

    async def send(self, url: str, headers: Mapping[str, str], body: str) -> Reply:
        """POST ``body`` to ``url``; redirects are not followed."""
        try:
            target = URL(url)
            self._refuse_private_literal(target)
            async with asyncio.timeout(self._timeout):
                return await self._post(target, headers, body)
        except TimeoutError:
            return Reply(error=f"no answer within {self._timeout:g} s")
        except ForbiddenAddressError as error:
            return Reply(error=f"{error}: an operator can add the host to webhooks.private_hosts")
        except aiohttp.ClientConnectorError as error:
            forbidden = isinstance(error.os_error, ForbiddenAddressError)
            return Reply(error=str(error.os_error) if forbidden else "no connection could be made")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Reply(error=f"the connection failed: {type(error).__name__}")

    async def _post(self, url: URL, headers: Mapping[str, str], body: str) -> Reply:
        if self._session is None:
            raise RuntimeError("the sender is not open")
        own = {
            "content-type": "application/json",
            "user-agent": f"drpo/{VERSION}",
            "accept-encoding": "identity",
        }
        async with self._session.post(
            url, data=body.encode(), headers={**own, **headers}, allow_redirects=False
        ) as response:
            said = await response.content.read(_SAID)
            text = said.decode("utf-8", "replace")
            if _FIRST_OK <= response.status < _FIRST_REDIRECT:
                return Reply(status=response.status, text=text)
            reason = f"it answered {response.status}"
            if _FIRST_REDIRECT <= response.status < _FIRST_REFUSAL:
                reason += ": redirects are not followed"
            patience = retry_after(response.headers, now=datetime.now(UTC))
            return Reply(status=response.status, text=text, error=reason, retry_after=patience)

    def _refuse_private_literal(self, url: URL) -> None:
        """Addresses are not resolved, so nobody else looks at them."""
        host, port = url.host or "", url.port or 0
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return
        if not is_public(host) and not self._policy.is_named(host, port):
            raise ForbiddenAddressError(f"{host} is a private address")
