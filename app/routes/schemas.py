"""What the routes endpoint gives."""

from typing import Literal

from pydantic import BaseModel


class RouteObject(BaseModel):
    """One model of one backend, and how it does, as this process sees it.

    Attributes:
        weight: its share of the requests; null for a fallback.
        circuit: ``closed`` where it is asked, ``open`` where it is left alone, ``half_open`` where one
            request at a time tries it; null where nobody could take its place, so that it is always asked.
        requests / failures: in the circuit's window; null without one.
        asked_again_in: seconds until an open circuit lets a request try; null otherwise.
    """

    backend: str
    model: str
    api: Literal["chat", "completions"]
    weight: float | None
    fallback: bool
    circuit: Literal["closed", "open", "half_open"] | None
    requests: int | None
    failures: int | None
    asked_again_in: float | None


class RoutedModel(BaseModel):
    """A model of the public API.

    Attributes:
        routes: who may answer for it, fallbacks last and in their order.
        retry_budget: further attempts that its requests may make now.
    """

    model: str
    routes: list[RouteObject]
    retry_budget: float


class RoutedModels(BaseModel):
    """All models, in the order of the settings."""

    object: Literal["list"] = "list"
    data: list[RoutedModel]
