"""Signatures that any implementation of Standard Webhooks verifies."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from app.notifications.signing import WebhookSecrets

KEY = SecretStr("k" * 32)
BODY = json.dumps({"type": "optimization.succeeded", "data": {"id": "opt_1", "name": "Grüße"}})


def test_the_reference_implementation_verifies_what_we_sign() -> None:
    secrets = WebhookSecrets(KEY)
    headers = secrets.headers("wh_1", "msg_1", BODY, datetime.now(UTC))
    assert headers["webhook-signature"].startswith("v1,")
    verified = Webhook(secrets.of("wh_1").get_secret_value()).verify(BODY, dict(headers))
    assert verified == json.loads(BODY)


@pytest.mark.parametrize("change", ["body", "id", "secret"])
def test_what_was_changed_on_the_way_is_not_verified(change: str) -> None:
    secrets = WebhookSecrets(KEY)
    headers = dict(secrets.headers("wh_1", "msg_1", BODY, datetime.now(UTC)))
    body, secret = BODY, secrets.of("wh_1")
    if change == "body":
        body += " "
    elif change == "id":
        headers["webhook-id"] = "msg_2"
    else:
        secret = secrets.of("wh_2")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret.get_secret_value()).verify(body, headers)


def test_each_webhook_has_a_secret_of_its_own_that_follows_from_the_key() -> None:
    one, other = WebhookSecrets(KEY), WebhookSecrets(SecretStr("j" * 32))
    assert one.of("wh_1").get_secret_value().startswith("whsec_")
    assert one.of("wh_1") == WebhookSecrets(KEY).of("wh_1")
    assert len({item.get_secret_value() for item in (one.of("wh_1"), one.of("wh_2"), other.of("wh_1"))}) == 3
    assert one.fingerprint("wh_1") != other.fingerprint("wh_1")
    assert one.fingerprint("wh_1") not in one.of("wh_1").get_secret_value()
    assert one.of("wh_1").get_secret_value() not in repr(one.of("wh_1"))
