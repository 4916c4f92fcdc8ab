"""Settings of webhooks: the signing key, where receivers may be, and how patiently they are told."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from app.backend_settings import Group, Seconds
from app.configuration import check_secret, read_secret
from app.outside_urls import plain_hosts
from optimizer.errors import InvalidInputError

_LEAST_KEY = 32


class WebhookSettings(Group):
    """Webhooks.

    Attributes:
        signing_key / signing_key_file: what the secrets of all webhooks are derived from, 32 characters at
            least, the same in all processes; without one no webhook can be added.
        private_hosts: receivers on this machine or in a private network that may be told, as host or
            host:port. Whoever may add webhooks can have this machine send requests there.
        timeout_seconds: for one attempt, all of it.
        first_wait_seconds / max_wait_seconds: waits between attempts treble from here to there.
        give_up_seconds: no attempt begins later than this after the message.
        max_in_flight: attempts at once in this process.
        poll_seconds: longest time until a message is seen.
        keep_days / keep_per_webhook: how long, and how many, deliveries are kept once they are done.
    """

    signing_key: SecretStr | None = None
    signing_key_file: Path | None = None
    private_hosts: tuple[str, ...] = ()
    timeout_seconds: Seconds = 15.0
    first_wait_seconds: Seconds = 5.0
    max_wait_seconds: Seconds = 6 * 3600.0
    give_up_seconds: Seconds = 3 * 86_400.0
    max_in_flight: int = Field(default=16, ge=1, le=1000)
    poll_seconds: Seconds = 1.0
    keep_days: float = Field(default=30.0, ge=0)
    keep_per_webhook: int = Field(default=1000, ge=1)

    @field_validator("private_hosts")
    @classmethod
    def _plain_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return plain_hosts(hosts)

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.signing_key is not None and self.signing_key_file is not None:
            raise ValueError("set signing_key or signing_key_file, not both")
        return self

    def read_signing_key(self) -> SecretStr | None:
        """The key, or None where none is configured.

        Raises:
            InvalidInputError: the file cannot be read, or the key is too short.
        """
        if self.signing_key_file is not None:
            key = read_secret(self.signing_key_file, "webhooks.signing_key_file")
        elif self.signing_key is not None:
            key = check_secret(self.signing_key.get_secret_value().strip(), "webhooks.signing_key")
        else:
            return None
        if len(key.get_secret_value()) < _LEAST_KEY:
            raise InvalidInputError(
                f"webhooks.signing_key has fewer than {_LEAST_KEY} characters: take what "
                "'openssl rand -base64 32' prints",
                param="webhooks.signing_key",
            )
        return key
