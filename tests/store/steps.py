"""Steps that the store's tests share."""

import pytest
from sqlalchemy import Connection, text

from store.connections import Database
from store.records.optimizations import Claim, Lease, Software
from store.records.progress import CandidateDraft, EvaluationDraft, EventDraft
from store.repositories import optimization_leases
from store.repositories.optimizations import OptimizationRepository

TTL = 60.0
ANY_SOFTWARE = Software(name="any", spec_version=2**31)


async def new_optimization(db: Database) -> str:
    """A queued optimization."""
    return (await OptimizationRepository(db).create(spec={"preset": "mini"}, target="small")).id


async def new_lease(db: Database, owner: str = "ann") -> Lease:
    """The lease on a new optimization, where no other one waits."""
    await new_optimization(db)
    claim = await OptimizationRepository(db).claim_next(owner=owner, ttl=TTL, software=ANY_SOFTWARE)
    assert claim is not None
    return claim.lease


async def expire(db: Database, optimization_id: str) -> None:
    """Let the lease run out, as if its owner had been silent for long."""
    async with db.session() as session:
        await session.execute(
            text("UPDATE optimizations SET lease_until = 1 WHERE id = :id AND status = 'running'"),
            {"id": optimization_id},
        )


async def take_over(db: Database, lease: Lease, owner: str = "bob") -> Lease:
    """The lease of the next owner, after the one of ``lease`` was silent for long."""
    await expire(db, lease.optimization_id)
    claim = await OptimizationRepository(db).claim_next(owner=owner, ttl=TTL, software=ANY_SOFTWARE)
    assert isinstance(claim, Claim)
    assert claim.lease.optimization_id == lease.optimization_id
    return claim.lease


def fail_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the transactions that end an optimization fail when all is written that they write."""

    def fail(connection: Connection, optimization_id: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(optimization_leases, "send_hint", fail)


def candidate(name: str = "c0", **changes: object) -> CandidateDraft:
    """A candidate."""
    values: dict[str, object] = {"id": name, "system_prompt": f"prompt {name}"}
    return CandidateDraft(**(values | changes))  # type: ignore[arg-type]


def evaluation(key: str, candidate_id: str = "c0", **changes: object) -> EvaluationDraft:
    """A scored evaluation."""
    values: dict[str, object] = {
        "key": key,
        "candidate_id": candidate_id,
        "round": 0,
        "query_id": "q1",
        "query": "why?",
        "reward": 4.0,
        "models": {"target": "small"},
    }
    return EvaluationDraft(**(values | changes))  # type: ignore[arg-type]


def event(key: str, **body: int) -> EventDraft:
    """An event."""
    return EventDraft(key=key, type="test", body=dict(body))
