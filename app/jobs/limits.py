"""A job's limits while it runs: somebody may change them, and the budget hears of it with the next beat."""

import hashlib

from app.jobs.spec import BudgetSpec
from optimizer.budget import Budget, Limits
from optimizer.types import JsonObject
from store.json_values import to_json


class LiveLimits:
    """The limits of one attempt, as far as its worker has heard of them."""

    def __init__(self) -> None:
        """The limits of the spec, before anything was heard."""
        self._stored: JsonObject | None = None
        self._budget: Budget | None = None

    def of(self, spec: BudgetSpec) -> Limits:
        """The limits now, of a job that was made with ``spec``."""
        return current_budget(spec, self._stored).to_limits()

    @property
    def budget(self) -> Budget | None:
        """What the attempt spends from; None before it has begun."""
        return self._budget

    def govern(self, budget: Budget) -> None:
        """From now on ``budget`` follows."""
        self._budget = budget

    def hear(self, stored: JsonObject | None) -> None:
        """The claim or a beat has found these in the row; None for those of the spec."""
        if stored is None or stored == self._stored:
            return
        self._stored = stored
        if self._budget is not None:
            self._budget.change(BudgetSpec.from_json(stored).to_limits())


def current_budget(spec: BudgetSpec, stored: JsonObject | None) -> BudgetSpec:
    """What a job may use now: what its row says in place of its spec, where it says something."""
    return spec if stored is None else BudgetSpec.from_json(stored)


def fingerprint(limits: Limits) -> int:
    """A number for ``limits``, so that a decision can say by which ones it was made."""
    values: JsonObject = {
        "calls": limits.calls,
        "tokens": limits.tokens,
        "cost": limits.cost,
        "seconds": limits.seconds,
    }
    return int.from_bytes(hashlib.sha256(to_json(values).encode()).digest()[:7], "big")
