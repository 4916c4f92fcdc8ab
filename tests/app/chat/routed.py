"""The service with a target of two scripted backends: one is asked first, the other is its fallback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from app.llm.routing.circuit import Circuit
from app.outcomes import Outcome
from app.resources import Resources, open_resources
from app.server import embedded_app
from app.settings import Settings
from optimizer.types import JsonObject
from tests.app.chat.serving import MODEL, NOTHING_TO_PROBE, question
from tests.fakes.hand_clock import HandClock
from tests.fakes.openai_server import FakeOpenAIServer, serve

PATH = "/v1/chat/completions"
FIRST_MODEL = "first-model"
SECOND_MODEL = "second-model"


@dataclass(frozen=True, kw_only=True)
class Routed:
    """The service behind a socket, its two backends, and what is heard of its answers."""

    first: FakeOpenAIServer
    second: FakeOpenAIServer
    client: httpx.AsyncClient
    resources: Resources
    clock: HandClock
    heard: "asyncio.Queue[Outcome]"

    async def ask(self, **fields: object) -> httpx.Response:
        """POST a chat request."""
        return await self.client.post(PATH, json=question() | fields)

    async def outcome(self) -> Outcome:
        """What is announced next."""
        async with asyncio.timeout(20):
            return await self.heard.get()

    def circuit(self, backend: str = "first") -> Circuit:
        """The circuit of one of the backends."""
        routes = self.resources.models.routes(MODEL)
        (found,) = (route.circuit for route in routes if route.backend == backend)
        assert found is not None
        return found


def settings_of(
    database_url: str,
    first: str,
    second: str,
    *,
    backend: JsonObject | None = None,
    first_backend: JsonObject | None = None,
    target: JsonObject | None = None,
    **groups: object,
) -> Settings:
    """One target: ``first``, and ``second`` as its fallback.

    Args:
        database_url: a migrated database.
        first: base URL.
        second: base URL.
        backend: further settings of both backends.
        first_backend: further settings of the first one.
        target: further settings of the target.
        groups: further groups of settings.
    """
    shared: JsonObject = {
        "capabilities": NOTHING_TO_PROBE,
        "price": {"input_per_million": 1.0, "output_per_million": 1.0},
        **(backend or {}),
    }
    role = {"backend": "second", "model": "critic"}
    return Settings.model_validate(
        {
            "database": {"url": database_url},
            "backends": {
                "first": {"base_url": first, **shared, **(first_backend or {})},
                "second": {"base_url": second, **shared},
            },
            "targets": {
                MODEL: {
                    "backend": "first",
                    "model": FIRST_MODEL,
                    "fallbacks": [{"backend": "second", "model": SECOND_MODEL}],
                    **(target or {}),
                }
            },
            "roles": {"proposer": role, "selector": role, "judge": role},
            "jobs": {"max_running": 0},
            **groups,
        }
    )


@asynccontextmanager
async def serve_routed(database_url: str, **settings: object) -> AsyncIterator[Routed]:
    """The whole service over real HTTP; see ``settings_of``."""
    async with serve() as first, serve() as second:
        chosen = settings_of(database_url, first.url, second.url, **settings)  # type: ignore[arg-type]
        clock = HandClock()
        heard: asyncio.Queue[Outcome] = asyncio.Queue()
        async with open_resources(chosen, clock=clock) as resources, embedded_app(resources) as url:
            resources.outcomes.listen(heard.put_nowait)
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
                yield Routed(
                    first=first,
                    second=second,
                    client=client,
                    resources=resources,
                    clock=clock,
                    heard=heard,
                )
