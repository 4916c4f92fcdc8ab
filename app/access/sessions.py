"""Sessions: a browser that has shown an API key once, and acts with that key from then on.

What a session may do is what its key may do at the time of each request, so a key that is revoked, changed or
has expired needs no care of its own. A browser sends its cookie with whatever a page makes it send; so what
changes something must prove that it comes from a page of ours.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from app.access.keyring import KeyProblem, principal_of
from app.access.principal import Principal
from store.repositories.web_sessions import WebSessionRepository

SESSION_COOKIE: Final = "drpo_session"
CSRF_HEADER: Final = "x-csrf-token"

_TOKEN_BYTES: Final = 32
_LONGEST: Final = 200


class Sessions:
    """Begins, finds and ends sessions. Their tokens are in browsers alone; the store has SHA-256 of them."""

    def __init__(self, stored: WebSessionRepository, *, lasts_seconds: float) -> None:
        """Sessions in ``stored``, each of which ends after ``lasts_seconds``."""
        self._stored = stored
        self.lasts_seconds = lasts_seconds

    async def begin(self, key_number: int, settings_key: bytes | None) -> str:
        """Begin a session; returns its token.

        Args:
            key_number: of the stored key that it stands for; 0 for the key of the settings.
            settings_key: SHA-256 of that key.
        """
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        await self._stored.add(
            _digest(token),
            key_number=key_number or None,
            proof=None if key_number else _proof(token, settings_key),
            lasts_seconds=self.lasts_seconds,
        )
        return token

    async def find(
        self, token: str, settings_key: bytes | None, operator: Principal
    ) -> Principal | KeyProblem:
        """Whom a session stands for now.

        Args:
            token: as the browser has sent it.
            settings_key: SHA-256 of the key of the settings.
            operator: whom that key stands for.

        Raises:
            StoreUnavailableError: the database is away.
        """
        found = None if len(token) > _LONGEST else await self._stored.find(_digest(token))
        if found is None:
            return KeyProblem.UNKNOWN
        if found.key is None:
            is_same = hmac.compare_digest(found.proof or "", _proof(token, settings_key))
            return operator if is_same else KeyProblem.REVOKED
        if found.key.revoked_at is not None:
            return KeyProblem.REVOKED
        return KeyProblem.EXPIRED if found.key.seconds_left == 0 else principal_of(found.key)

    async def end(self, token: str) -> None:
        """End a session."""
        await self._stored.end(_digest(token))


def csrf_token(token: str) -> str:
    """What pages of a session send beside its cookie; other sites cannot read it, and the cookie hides it."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that a page of ours has sent this request.

    Current browsers say so in ``Sec-Fetch-Site``, which pages cannot set; others name the page's origin.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin", "")
    try:
        return bool(origin) and urlsplit(origin).netloc == headers.get("host")
    except ValueError:
        return False


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _proof(token: str, settings_key: bytes | None) -> str:
    """The key of the settings may be weak: without a session's token nothing can be learned from this."""
    return hmac.new(settings_key or b"", token.encode(), hashlib.sha256).hexdigest()
