"""Jobs of models that a key may not ask do not exist for it."""

from typing import Final

from fastapi import Depends

from app.allowed_models import AllowedModels
from app.resources import Resources
from store.errors import NotFoundError
from store.records.optimizations import JobKind


async def _target_of(resources: Resources, optimization_id: str) -> str:
    """Also of a deleted job: a request that is sent again is answered when its source is gone."""
    return await resources.optimizations.target_of(optimization_id, kind=JobKind.PROMPT)


def _unknown(optimization_id: str) -> NotFoundError:
    return NotFoundError(f"there is no optimization {optimization_id}")


ALLOWED_JOBS: Final = Depends(AllowedModels("optimization_id", _target_of, _unknown))
"""For the routers whose routes name a job."""
