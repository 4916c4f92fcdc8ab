"""Settings of rewards: which hosts a user's own scorer may be on, and what it may be sent."""

import httpx
from pydantic import Field, field_validator

from app.backend_settings import Group, RetrySettings
from optimizer.errors import InvalidInputError

_LARGEST_PORT = 65535
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class RewardSettings(Group):
    """What jobs may ask for beyond the judge.

    Attributes:
        http_hosts: where a job's own scorer may be, as host or host:port. Whoever may make jobs can have this
            machine send requests there.
        http_header_variables: environment variables whose values a job may have sent to its scorer.
        http_max_concurrency: most requests in flight to one scorer.
        http_max_response_bytes: a longer reply is no score.
        http_retries: how patiently a scorer is asked again after a 429, a 5xx or a lost connection.
    """

    http_hosts: tuple[str, ...] = LOOPBACK
    http_header_variables: tuple[str, ...] = ()
    http_max_concurrency: int = Field(default=16, ge=1, le=10_000)
    http_max_response_bytes: int = Field(default=2**20, ge=1024)
    http_retries: RetrySettings = RetrySettings(max_attempts=4, max_total_seconds=120.0)

    @field_validator("http_hosts")
    @classmethod
    def _plain_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not host or "/" in host or "@" in host or "*" in host:
                raise ValueError(f"{host!r} is no host: give names or addresses, with a port or without")
        return tuple(host.lower() for host in hosts)

    def check_url(self, text: str) -> None:
        """See to it that ``text`` may be called.

        Raises:
            InvalidInputError: it is no URL, or leads to a host that is not allowed.
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
        if not {url.host, f"{bracketed}:{port}"} & set(self.http_hosts):
            raise InvalidInputError(
                f"{bracketed}:{port} is not among the hosts that a scorer may be on: an operator can add it "
                "to rewards.http_hosts"
            )
