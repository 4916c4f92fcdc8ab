"""What is counted of the calls that jobs make."""

from app.telemetry.metrics import SECONDS, Metrics
from optimizer.types import ModelRole, Spend


class ModelCallMetrics:
    """Counts requests that jobs send to models; answers from the ledger are none."""

    def __init__(self, metrics: Metrics) -> None:
        """Count in ``metrics``."""
        self._calls = metrics.counter(
            "drpo_model_calls", "Requests of jobs, by how they ended.", "role", "backend", "outcome"
        )
        self._seconds = metrics.histogram(
            "drpo_model_call_seconds", "From a job's request to its end.", SECONDS, "role", "backend"
        )
        self._tokens = metrics.counter(
            "drpo_model_call_tokens",
            "Tokens of jobs' requests; cached ones are among the input.",
            "role",
            "backend",
            "kind",
        )
        self._cost = metrics.counter(
            "drpo_model_call_cost", "What they cost, in the currency of the prices.", "role", "backend"
        )

    def ended(self, role: ModelRole, backend: str, outcome: str, spend: Spend, seconds: float) -> None:
        """Count one request.

        Args:
            role: whose it was.
            backend: the configured name of who was asked.
            outcome: ``answered``, ``cancelled``, or the kind of failure.
            spend: what it has taken, or the most that it may have.
            seconds: how long it took.
        """
        self._calls.labels(role.value, backend, outcome).inc()
        self._seconds.labels(role.value, backend).observe(seconds)
        self._tokens.labels(role.value, backend, "input").inc(spend.prompt_tokens)
        self._tokens.labels(role.value, backend, "cached_input").inc(spend.cached_prompt_tokens)
        self._tokens.labels(role.value, backend, "output").inc(spend.completion_tokens)
        self._cost.labels(role.value, backend).inc(spend.cost)
