"""Settings of rewards: which hosts a user's own scorer may be on, and what it may be sent."""

from pydantic import Field, field_validator

from app.backend_settings import Group, RetrySettings
from app.outside_urls import plain_hosts, read_outside_url
from optimizer.errors import InvalidInputError

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
        return plain_hosts(hosts)

    def check_url(self, text: str) -> None:
        """See to it that ``text`` may be called.

        Raises:
            InvalidInputError: it is no URL, or leads to a host that is not allowed.
        """
        found = read_outside_url(text)
        if not {found.host, found.place} & set(self.http_hosts):
            raise InvalidInputError(
                f"{found.place} is not among the hosts that a scorer may be on: an operator can add it "
                "to rewards.http_hosts"
            )
