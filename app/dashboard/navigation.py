"""The places of the dashboard that every page links to, and who may see them."""

from dataclasses import dataclass
from typing import Final

from app.access.principal import Principal, Scope


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A link of the navigation.

    Attributes:
        title: as it is shown.
        path: of its page; pages below it belong to it, too.
        scope: of which a key needs it; None where every key may go.
    """

    title: str
    path: str
    scope: Scope | None


PLACES: Final = (
    Place(title="Models", path="/dashboard/models", scope=Scope.OPTIMIZE),
    Place(title="Jobs", path="/dashboard/jobs", scope=Scope.OPTIMIZE),
    Place(title="Prompts", path="/dashboard/prompts", scope=Scope.OPTIMIZE),
    Place(title="Playground", path="/dashboard/playground", scope=Scope.SERVE),
    Place(title="Data", path="/dashboard/data", scope=Scope.OPTIMIZE),
    Place(title="Keys", path="/dashboard/keys", scope=Scope.ADMIN),
    Place(title="Audit log", path="/dashboard/audit-log", scope=Scope.ADMIN),
    Place(title="Health", path="/dashboard/health", scope=None),
)


def places_for(principal: Principal) -> tuple[Place, ...]:
    """The places that a caller may go to."""
    return tuple(place for place in PLACES if place.scope is None or principal.may(place.scope))
