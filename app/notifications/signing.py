"""Signatures after the convention of Standard Webhooks (https://www.standardwebhooks.com)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from pydantic import SecretStr
from standardwebhooks import Webhook

_PREFIX = "whsec_"
_PURPOSE = b"drpo webhook secret 1:"


class WebhookSecrets:
    """The secrets of all webhooks, each derived from one key and the webhook's id; none is stored."""

    def __init__(self, key: SecretStr) -> None:
        """Secrets derived from ``key``."""
        self._key = key.get_secret_value().encode()

    def of(self, webhook_id: str) -> SecretStr:
        """The secret of a webhook, as its receiver needs it: ``whsec_`` and 32 bytes in base64."""
        derived = hmac.digest(self._key, _PURPOSE + webhook_id.encode(), hashlib.sha256)
        return SecretStr(_PREFIX + base64.b64encode(derived).decode())

    def fingerprint(self, webhook_id: str) -> str:
        """Tells two secrets apart without giving them away."""
        return hashlib.sha256(self.of(webhook_id).get_secret_value().encode()).hexdigest()[:16]

    def headers(self, webhook_id: str, message_id: str, body: str, now: datetime) -> Mapping[str, str]:
        """What goes with a message; ``now`` is in UTC."""
        signature = Webhook(self.of(webhook_id).get_secret_value()).sign(message_id, now, body)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
