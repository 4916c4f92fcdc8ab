"""``/v1/ledger``."""

from fastapi import APIRouter

from app.auth import OptimizingPrincipal
from app.dependencies import CurrentResources
from app.ledger.schemas import LedgerObject
from app.ledger.service import measure_ledger

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])


@router.get("")
async def get_ledger(resources: CurrentResources, _: OptimizingPrincipal) -> LedgerObject:
    """The size of the call ledger, and its bounds."""
    return await measure_ledger(resources)
