"""What the tests of a job's selections share."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from typing_extensions import override

from app.jobs.selections import JobSelections
from optimizer.types import JsonObject
from rewards.selection_json import selection_to_json
from rewards.types import SelectionKey, SelectionSource
from store.connections import Database
from store.records.optimizations import Lease
from store.repositories.selections import LedgerTransactions, SelectionRepository
from store.repositories.selections import SelectionKey as StoredKey
from tests.rewards.builders import listed, selection
from tests.store.steps import new_lease

T = TypeVar("T")
KEY = SelectionKey(query_sha256="0" * 64, selector_model="b/m", template_version="t")
OURS = selection_to_json(selection(listed("Safety"), listed("Depth")))
THEIRS = selection_to_json(selection(listed("Clarity"), listed("Depth")))
SELECTED, FALLBACK = SelectionSource.SELECTED, SelectionSource.FALLBACK
STORED = StoredKey(query_sha256="0" * 64, selector_model="b/m", template_version="t")


async def selections_of(
    database: Database,
    lease: Lease,
    ledger: LedgerTransactions | None = None,
    *,
    repository: SelectionRepository | None = None,
) -> JobSelections:
    """The selections of the job under ``lease``, in the process of ``repository``."""
    return await JobSelections.open(repository or SelectionRepository(database), lease, ledger=ledger)


async def shared(database: Database, key: StoredKey) -> JsonObject | None:
    """What all jobs share under ``key``."""
    return (await SelectionRepository(database).find_all([key])).get(key)


async def share(database: Database, key: StoredKey, value: JsonObject) -> None:
    """Have another job share ``value``."""
    other = await new_lease(database)
    await SelectionRepository(database).pin(other, key, value, shared_if=lambda _: True)


class Beside(LedgerTransactions):
    """Transactions that are not begun: what was to be done in them, and what was waited for."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @override
    async def within(self, place: str, work: Callable[[Connection], T], /) -> T:
        raise WaitedError

    @override
    def accompany(self, place: str, work: Callable[[Connection], object], /) -> None:
        self.told.append(place)


class WaitedError(Exception):
    """Somebody wants to know what has come of it."""
