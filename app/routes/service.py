"""Who may answer for each model, and how they do."""

from app.llm.registry import ModelRegistry
from app.llm.routing.circuit import CircuitState
from app.llm.routing.routes import Route
from app.routes.schemas import RoutedModel, RoutedModels, RouteObject


def list_routes(models: ModelRegistry) -> RoutedModels:
    """The routes of all models, as this process sees them now."""
    return RoutedModels(data=[_model(models, name) for name in models.target_names()])


def _model(models: ModelRegistry, name: str) -> RoutedModel:
    routes = models.routes(name)
    return RoutedModel(
        model=name,
        routes=[_route(route) for route in routes],
        retry_budget=round(routes.budget.left, 2),
    )


def _route(route: Route) -> RouteObject:
    circuit = route.circuit
    is_open = circuit is not None and circuit.state is CircuitState.OPEN
    return RouteObject(
        backend=route.backend,
        model=route.model,
        api=route.api,
        weight=route.weight,
        fallback=route.is_fallback,
        circuit=None if circuit is None else circuit.state.value,
        requests=None if circuit is None else circuit.requests,
        failures=None if circuit is None else circuit.failures,
        asked_again_in=round(circuit.wait_seconds, 3) if circuit is not None and is_open else None,
    )
