"""What the dataset endpoints give."""

from typing import Literal

from pydantic import BaseModel


class DatasetObject(BaseModel):
    """A stored query set; it never changes."""

    id: str
    object: Literal["dataset"] = "dataset"
    name: str
    sha256: str
    queries: int
    created_at: float


class DatasetList(BaseModel):
    """All query sets, newest first."""

    object: Literal["list"] = "list"
    data: list[DatasetObject]
