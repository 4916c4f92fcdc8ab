"""The configured targets and embedding models as models."""

from app.access.principal import Principal
from app.models.schemas import ModelCard, ModelList
from app.settings import SIMULATED_BACKEND, Settings


def list_models(settings: Settings, principal: Principal) -> ModelList:
    """The targets and then the embedding models that ``principal`` may ask, in the order of the settings."""
    names = (name for name in (*settings.targets, *settings.embedders) if principal.may_ask(name))
    return ModelList(data=[_card(settings, name) for name in names])


def find_model(settings: Settings, name: str, principal: Principal) -> ModelCard:
    """The target or the embedding model called ``name``.

    Raises:
        ApiError: 404, ``principal`` may ask none of that name; the message lists those that it may.
    """
    principal.check_model(name, (*settings.targets, *settings.embedders))
    return _card(settings, name)


def _card(settings: Settings, name: str) -> ModelCard:
    owner = (settings.targets.get(name) or settings.embedders[name]).backend
    if settings.backends[owner].kind == "simulated" and SIMULATED_BACKEND not in owner:
        owner = f"{owner} ({SIMULATED_BACKEND})"
    return ModelCard(id=name, owned_by=owner)
