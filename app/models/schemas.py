"""Models as OpenAI's API describes them."""

from typing import Literal

from pydantic import BaseModel


class ModelCard(BaseModel):
    """One model.

    Attributes:
        id: what requests name as ``model``.
        created: always 0: a target is a line of configuration and has no birthday.
        owned_by: the backend that answers.
    """

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str


class ModelList(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
