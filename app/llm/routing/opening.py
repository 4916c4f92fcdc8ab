"""From the settings of targets to their routes."""

from collections.abc import Callable, Mapping
from typing import Protocol

from app.llm.opened_backend import Assignment
from app.llm.routing.circuit import Circuit
from app.llm.routing.routes import Route, Routes
from app.llm.wire import Api
from app.serving_settings import RouteSettings, TargetSettings
from app.settings import Settings


class Placing(Protocol):
    """Finds the opened backend of a model."""

    def __call__(self, backend: str, model: str, setting: str, *, api: Api) -> Assignment:
        """``model`` of ``backend``, as the settings called ``setting`` name them."""
        ...


def open_routes(settings: Settings, placed: Placing, *, clock: Callable[[], float]) -> Mapping[str, Routes]:
    """The routes of each target. A model of a backend has one circuit, whichever targets lead to it."""
    circuits: dict[tuple[str, str], Circuit] = {}

    def circuit(assignment: Assignment) -> Circuit:
        origin = assignment.origin
        return circuits.setdefault(
            (origin.backend, origin.model), Circuit(assignment.backend.settings.circuit, clock=clock)
        )

    def routes_of(name: str, target: TargetSettings) -> Routes:
        breaks = _breaks_circuits(target)
        routes = []
        for place, chosen in target.places():
            assignment = placed(chosen.backend, chosen.model, f"targets.{name}{place}", api=chosen.api)
            routes.append(
                Route(
                    backend=chosen.backend,
                    model=chosen.model,
                    api=chosen.api,
                    weight=chosen.weight if isinstance(chosen, RouteSettings) else None,
                    upstream=assignment.backend.passthrough(assignment.origin),
                    probed=assignment.probed(),
                    circuit=circuit(assignment) if breaks else None,
                )
            )
        return Routes(routes, target.routing, clock=clock)

    return {name: routes_of(name, target) for name, target in settings.targets.items()}


def _breaks_circuits(target: TargetSettings) -> bool:
    """By default where somebody else could answer: a single backend is asked however often it fails."""
    if target.routing.circuit_breaking is not None:
        return target.routing.circuit_breaking
    return len(target.weighted()) + len(target.fallbacks) > 1
