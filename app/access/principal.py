"""Who is asking, and what they may do."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from app.access.key_limits import UNLIMITED, KeyLimits
from app.errors import not_found
from optimizer.errors import InvalidInputError


class Scope(StrEnum):
    """What a key may be used for. ``ADMIN`` includes the others."""

    SERVE = "serve"
    OPTIMIZE = "optimize"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """The caller.

    Attributes:
        name: as audit logs name it: a key's id, ``api_key`` for the one in the settings, ``local`` without.
        scopes: what it may do.
        models: the models that it may ask; None for all.
        key_number: of its stored key; 0 for whoever has none.
        limits: how much it may use.
    """

    name: str
    scopes: frozenset[Scope]
    models: frozenset[str] | None = None
    key_number: int = 0
    limits: KeyLimits = UNLIMITED

    def may(self, scope: Scope) -> bool:
        """Whether it may do what ``scope`` stands for."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def may_ask(self, model: str) -> bool:
        """Whether it may ask the target ``model``."""
        return self.models is None or model in self.models

    def check_model(self, model: str, targets: Collection[str]) -> None:
        """Refuse a model that does not exist, or that this caller may not ask: both in the same words.

        Args:
            model: the target that is about to be called.
            targets: all that exist.

        Raises:
            ApiError: 404; the message lists those that the caller may ask.
        """
        if (refusal := self._refusal(model, targets)) is not None:
            raise not_found(refusal, param="model", code="model_not_found")

    def check_target(self, target: str, targets: Collection[str]) -> None:
        """As ``check_model``, for a target that is a field of the request.

        Raises:
            InvalidInputError: the message lists those that the caller may ask.
        """
        if (refusal := self._refusal(target, targets)) is not None:
            raise InvalidInputError(refusal, param="target")

    def _refusal(self, model: str, targets: Collection[str]) -> str | None:
        if model in targets and self.may_ask(model):
            return None
        allowed = ", ".join(name for name in targets if self.may_ask(name)) or "none"
        suffix = "" if self.models is None else " for this API key"
        return f"there is no model {model!r}{suffix}: use one of {allowed}"


def operator(name: str) -> Principal:
    """The principal who may do everything, under ``name``."""
    return Principal(name=name, scopes=frozenset(Scope))
