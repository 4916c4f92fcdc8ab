"""``/v1/datasets``."""

from fastapi import APIRouter, UploadFile

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
async def list_datasets(resources: CurrentResources, _: OptimizingPrincipal) -> DatasetList:
    """All stored query sets."""
    return DatasetList(data=await DatasetService(resources).list())


@router.get("/{dataset_id}")
async def get_dataset(dataset_id: str, resources: CurrentResources, _: OptimizingPrincipal) -> DatasetObject:
    """One query set."""
    return await DatasetService(resources).get(dataset_id)
