"""``/v1/datasets``."""

from typing import Annotated

from fastapi import APIRouter, Query, UploadFile

from app.auth import OptimizingPrincipal
from app.datasets.schemas import DatasetList, DatasetObject
from app.datasets.service import DatasetService
from app.dependencies import CurrentResources

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])


@router.post("", status_code=201)
async def upload_dataset(
    file: UploadFile, resources: CurrentResources, _: OptimizingPrincipal
) -> DatasetObject:
    """Store a JSON Lines file: a line is a string, or an object with ``text``, ``kind`` and ``id``."""
    return await DatasetService(resources).upload(file.filename or "upload", await file.read())


@router.get("")
async def list_datasets(
    resources: CurrentResources,
    _: OptimizingPrincipal,
    after: Annotated[str | None, Query(description="The id of the last one already seen")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> DatasetList:
    """Stored query sets, newest first."""
    return await DatasetService(resources).list(after=after, limit=limit)


@router.get("/{dataset_id}")
async def get_dataset(dataset_id: str, resources: CurrentResources, _: OptimizingPrincipal) -> DatasetObject:
    """One query set."""
    return await DatasetService(resources).get(dataset_id)
