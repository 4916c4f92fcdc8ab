"""The configured targets as models."""

from app.errors import not_found
from app.models.schemas import ModelCard, ModelList
from app.settings import SIMULATED_BACKEND, Settings


def list_models(settings: Settings) -> ModelList:
    """All targets, in the order of the settings."""
    return ModelList(data=[find_model(settings, name) for name in settings.targets])


def find_model(settings: Settings, name: str) -> ModelCard:
    """The target called ``name``.

    Raises:
        ApiError: 404, there is none; the message lists those that exist.
    """
    target = settings.targets.get(name)
    if target is None:
        known = ", ".join(settings.targets)
        raise not_found(
            f"there is no model {name!r}: use one of {known}", param="model", code="model_not_found"
        )
    owner = target.backend
    if settings.backends[owner].kind == "simulated" and SIMULATED_BACKEND not in owner:
        owner = f"{owner} ({SIMULATED_BACKEND})"
    return ModelCard(id=name, owned_by=owner)
