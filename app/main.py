"""The HTTP application: routes on top of opened resources."""

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from app.audit_log.endpoints import router as audit_log_router
from app.auth import AuthenticationMiddleware, Authenticator, required_scopes
from app.chat.endpoints import router as chat_router
from app.completions.endpoints import router as completions_router
from app.dashboard.router import install_dashboard
from app.dashboard.security_headers import SecurityHeadersMiddleware
from app.datasets.endpoints import router as datasets_router
from app.embeddings.endpoints import router as embeddings_router
from app.errors import install_error_handlers
from app.evaluations.endpoints import router as evaluations_router
from app.example_banks.endpoints import router as example_banks_router
from app.feedback.endpoints import router as feedback_router
from app.health.endpoints import router as health_router
from app.keys.endpoints import router as keys_router
from app.ledger.endpoints import router as ledger_router
from app.metrics.endpoints import router as metrics_router
from app.middleware import RequestContextMiddleware
from app.models.endpoints import router as models_router
from app.openapi import DocumentedApi
from app.optimizations.control_endpoints import router as optimization_control_router
from app.optimizations.endpoints import router as optimizations_router
from app.overview.endpoints import router as overview_router
from app.prompts.endpoints import router as prompts_router
from app.releases.endpoints import router as releases_router
from app.resources import Resources
from app.responses.endpoints import router as responses_router
from app.routes.endpoints import router as routes_router
from app.schedules.endpoints import router as schedules_router
from app.serving_routes import ServingRoutes
from app.usage.endpoints import router as usage_router
from app.version import VERSION
from app.webhooks.endpoints import router as webhooks_router

_SERVING = (chat_router, responses_router, completions_router, embeddings_router)


class Api(DocumentedApi):
    """The whole API. Requests for models, by far the most, never enter the framework."""

    _serving: tuple[ServingRoutes, ASGIApp] | None = None

    def serve(self, resources: Resources) -> None:
        """Answer requests for models on the short way."""
        routes = ServingRoutes(_SERVING, resources)
        guarded = AuthenticationMiddleware(routes, self.state.authenticator)
        self._serving = routes, _in_context(guarded, resources)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if self._serving is not None and self._serving[0].answers(scope):
            await self._serving[1](scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(resources: Resources) -> FastAPI:
    """The application that serves ``resources``; its caller opens and closes them."""
    app = Api(
        title="drpo",
        version=VERSION,
        summary="Aligns a language model without training it, and serves it aligned.",
        openapi_url="/openapi.json",
        docs_url=None,  # its page would load scripts from the internet
        redoc_url=None,
    )
    _install(app, resources)
    for router in (
        *_SERVING,
        health_router,
        metrics_router,
        models_router,
        optimizations_router,
        optimization_control_router,
        keys_router,
        usage_router,
        ledger_router,
        prompts_router,
        releases_router,
        feedback_router,
        datasets_router,
        example_banks_router,
        webhooks_router,
        schedules_router,
        routes_router,
        evaluations_router,
        overview_router,
        audit_log_router,
    ):
        app.include_router(router)
    install_dashboard(app)
    if unguarded := [route for route, scopes in required_scopes(app).items() if not scopes]:
        raise RuntimeError(f"these routes do not say which scope they require: {unguarded}")
    app.add_middleware(AuthenticationMiddleware, authenticator=app.state.authenticator)
    _add_context(app, resources)
    app.add_middleware(SecurityHeadersMiddleware)  # outermost, so that it sees all answers
    app.serve(resources)
    return app


def create_probe_app(resources: Resources) -> FastAPI:
    """The application of a worker, which answers probes and shows its metrics."""
    app = FastAPI(title="drpo worker", version=VERSION, openapi_url=None, docs_url=None, redoc_url=None)
    _install(app, resources)
    app.include_router(health_router)
    app.include_router(metrics_router)
    _add_context(app, resources)
    return app


def _install(app: FastAPI, resources: Resources) -> None:
    key = resources.settings.server.read_api_key()
    app.state.resources = resources
    app.state.authenticator = Authenticator(
        None if key is None else key.get_secret_value(), resources.access.ring, resources.access.sessions
    )
    app.state.metrics_token = resources.settings.observability.read_metrics_token()
    install_error_handlers(app)


def _add_context(app: FastAPI, resources: Resources) -> None:
    # one layer, so that both ways into the API have the same around them
    app.add_middleware(_in_context, resources=resources)


def _in_context(app: ASGIApp, resources: Resources) -> ASGIApp:
    """``app`` with what happens around every request."""
    if resources.observation.tracing is not None:
        from app.tracing_middleware import TracingMiddleware  # noqa: PLC0415 - loads OpenTelemetry

        app = TracingMiddleware(app, tracing=resources.observation.tracing)
    return RequestContextMiddleware(
        app,
        max_body_bytes=resources.settings.server.max_body_bytes,
        reports=resources.observation.reports,
    )
