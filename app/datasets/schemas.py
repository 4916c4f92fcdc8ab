"""What the dataset endpoints give."""

from typing import Literal

from pydantic import BaseModel

from app.jobs.schemas import ListPage


class DatasetObject(BaseModel):
    """A stored query set; it never changes."""

    id: str
    object: Literal["dataset"] = "dataset"
    name: str
    sha256: str
    queries: int
    created_at: float


class DatasetList(ListPage):
    """A page of query sets, newest first."""

    data: list[DatasetObject]
