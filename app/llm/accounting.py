"""What one logical call costs, added up over all the requests that it takes.

Retries lie between the ledger, which records a call, and the budget, which sees each request. The account of
the call under way is passed down as a context variable: calls beside each other run in tasks of their own, so
that they don't mix. What a request that brought no answer has cost is decided here, for the budget, the meter
and the ledger alike.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from app.llm.errors import NeverSentError
from optimizer.errors import ModelError, RequestRefusedError
from optimizer.types import Spend

_FIRST_NOT_ANSWERED = 300
"""From this status on a response says that there is no answer; below it there may be one that was billed."""


@dataclass(slots=True)
class CallAccount:
    """What has been spent so far on one call."""

    spent: Spend = field(default_factory=Spend)


_ACCOUNT: ContextVar[CallAccount | None] = ContextVar("call_account", default=None)


@contextmanager
def account_for_call() -> Iterator[CallAccount]:
    """Open an account: what ``charge`` is told inside goes onto it."""
    account = CallAccount()
    token = _ACCOUNT.set(account)
    try:
        yield account
    finally:
        _ACCOUNT.reset(token)


def spend_without_answer(failure: BaseException, estimate: Spend) -> Spend:
    """What a request has cost that ended in ``failure``, where it could cost ``estimate`` at most.

    Nothing where it never left, a call without tokens where the backend said that it gives no answer. After
    anything else (a time-out, a lost connection, a garbled answer, the caller gone) the backend may have
    answered and may bill it: the whole estimate.
    """
    if isinstance(failure, NeverSentError):
        return Spend()
    status = failure.status if isinstance(failure, ModelError) else None
    if isinstance(failure, RequestRefusedError) or (status or 0) >= _FIRST_NOT_ANSWERED:
        return Spend(calls=estimate.calls)
    return estimate


def charge(spend: Spend) -> None:
    """Put ``spend`` onto the account of the call under way, if there is one."""
    account = _ACCOUNT.get()
    if account is not None:
        account.spent = account.spent + spend
