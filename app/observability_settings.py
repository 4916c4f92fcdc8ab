"""Settings of what is seen from outside: metrics, traces and log lines."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, HttpUrl, SecretStr, model_validator

from app.backend_settings import Group, Share
from app.configuration import check_secret, read_secret


class LoggingSettings(Group):
    """What is logged, and how.

    Attributes:
        level: from which on.
        format: ``json``, one object a line on stdout; ``text``, for people, on stderr; ``auto`` is text where
            stderr is a terminal.
        requests: whether each request gets a line.
    """

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["auto", "json", "text"] = "auto"
    requests: bool = True


class ObservabilitySettings(Group):
    """Metrics and traces.

    Attributes:
        metrics: whether ``/metrics`` is there and anything is counted for it.
        metrics_token / metrics_token_file: a token that opens ``/metrics`` and nothing else, for whoever
            scrapes it; keys that may administrate open it as well.
        traces_endpoint: where spans are sent by OTLP over HTTP, with its path, such as
            ``http://127.0.0.1:4318/v1/traces``; by default where ``OTEL_EXPORTER_OTLP_ENDPOINT`` says, and
            without either nothing is traced.
        traces_share: of the requests and jobs that are traced; one that a caller traces is traced with it.
        traced_calls: model calls of a job that get a span each, and answers whose scores are told; of those
            after them one in a hundred.
        record_content: whether spans hold what was asked and answered.
    """

    metrics: bool = True
    metrics_token: SecretStr | None = None
    metrics_token_file: Path | None = None
    traces_endpoint: HttpUrl | None = None
    traces_share: Share = 1.0
    traced_calls: int = Field(default=1000, ge=0)
    record_content: bool = False

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.metrics_token is not None and self.metrics_token_file is not None:
            raise ValueError("set metrics_token or metrics_token_file, not both")
        return self

    def read_metrics_token(self) -> SecretStr | None:
        """The token that opens ``/metrics``, or None where only keys do.

        Raises:
            InvalidInputError: the file cannot be read or is empty.
        """
        if self.metrics_token_file is not None:
            return read_secret(self.metrics_token_file, "observability.metrics_token_file")
        if self.metrics_token is None:
            return None
        return check_secret(self.metrics_token.get_secret_value().strip(), "observability.metrics_token")
