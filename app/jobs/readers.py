"""Which jobs that have not ended read the record of another one, which must stay as long."""

from collections import defaultdict
from collections.abc import Mapping

from app.jobs.spec import JobSpec
from store.records.optimizations import JobKind, OptimizationStatus
from store.repositories.optimizations import OptimizationRepository

_PAGE = 100


async def jobs_that_read(optimizations: OptimizationRepository) -> Mapping[str, frozenset[str]]:
    """A job whose record is read, and those that read it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for status in OptimizationStatus:
        if status.is_final:
            continue
        after = None
        while page := await optimizations.list(after=after, limit=_PAGE, status=status, kind=JobKind.PROMPT):
            for record in page:
                for source in JobSpec.from_json(record.spec).sources:
                    found[source].add(record.id)
            after = page[-1].id
    return {source: frozenset(readers) for source, readers in found.items()}
