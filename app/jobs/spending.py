"""What a job has cost, as the API shows it."""

from app.jobs.schemas import JobLedger, RoleSpend, SpendReport
from store.records.calls import CallSpend, LedgerShare


def show_spend(share: LedgerShare, *, replayed: int = 0) -> SpendReport:
    """What calls have cost, by role and together, and what of them is on record."""
    total = sum(share.by_role.values(), CallSpend())
    return SpendReport(
        **_role_spend(total).model_dump(),
        by_role={role: _role_spend(spend) for role, spend in share.by_role.items()},
        unknown_calls=total.unknown_calls,
        replayed=replayed,
        ledger=JobLedger(calls=share.calls, bytes=share.bytes, dropped_at=share.dropped_at),
    )


def _role_spend(spend: CallSpend) -> RoleSpend:
    return RoleSpend(
        calls=spend.calls,
        prompt_tokens=spend.prompt_tokens,
        completion_tokens=spend.completion_tokens,
        cost=spend.cost,
    )
