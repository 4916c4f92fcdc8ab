"""Who asks, as a proxy in front says it: looked at only for requests that come with such words."""

from collections.abc import Awaitable
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.request_headers import headers_of


class Forwarded:
    """An application behind uvicorn's own reading of ``X-Forwarded-For`` and ``X-Forwarded-Proto``."""

    def __init__(self, app: ASGIApp, *, trusted: list[str] | str) -> None:
        """``app``, which believes the proxies at the addresses ``trusted``."""
        self._app = app
        self._believing = cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), trusted_hosts=trusted))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            headers = headers_of(scope)
            if "x-forwarded-for" not in headers and "x-forwarded-proto" not in headers:
                return self._app(scope, receive, send)
        return self._believing(scope, receive, send)
