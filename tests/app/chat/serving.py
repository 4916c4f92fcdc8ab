"""The service with a scripted backend, and prompt versions written straight into its store."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from app.llm.capabilities import Capabilities
from app.main import create_app
from app.resources import Resources, open_resources
from app.server import embedded_app
from app.settings import Settings
from optimizer.types import JsonObject
from store.connections import Database
from store.records.prompts import LabelMoveDraft, PromptVersionDraft, PromptVersionRecord
from store.repositories.prompts import PromptRepository
from tests.fakes.openai_server import Exchange, FakeOpenAIServer, serve

MODEL = "tuned"
BASE_MODEL = "org/base"
UPSTREAM_MODEL = "vendor-model-1"
BACKEND_KEY = "sk-backend-0123456789"
EXAMPLES: tuple[JsonObject, ...] = (
    {"id": "e1", "query": "How do I boil an egg?", "answer": "Eight minutes.", "kind": "ordinary"},
    {"id": "e2", "query": "Why is the sky blue?", "answer": "Scattering.", "kind": None},
)
NOTHING_TO_PROBE: JsonObject = Capabilities().to_json()


def question(text: str = "Why is the sea blue?", **fields: object) -> dict[str, object]:
    """A request body with one user message."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


def settings_for(
    database_url: str,
    fake: FakeOpenAIServer,
    *,
    backend: JsonObject | None = None,
    capabilities: JsonObject | None = None,
    **groups: object,
) -> Settings:
    """Two targets on the scripted backend, one of them a base model; no job runs.

    Args:
        database_url: a migrated database.
        fake: the backend.
        backend: further settings of it.
        capabilities: what it can do, if not everything.
        groups: further groups of settings.
    """
    role = {"backend": "upstream", "model": "critic"}
    return Settings.model_validate(
        {
            "database": {"url": database_url},
            "backends": {
                "upstream": {
                    "base_url": fake.url,
                    "capabilities": NOTHING_TO_PROBE | (capabilities or {}),
                    **(backend or {}),
                }
            },
            "targets": {
                MODEL: {"backend": "upstream", "model": UPSTREAM_MODEL},
                BASE_MODEL: {"backend": "upstream", "model": "vendor-base-1", "api": "completions"},
            },
            "roles": {"proposer": role, "selector": role, "judge": role},
            "jobs": {"max_running": 0},
            **groups,
        }
    )


async def add_version(
    prompts: PromptRepository,
    system_prompt: str = "Be kind.",
    *,
    model: str = MODEL,
    label: str | None = "production",
    examples: Sequence[JsonObject] = (),
    sampling: JsonObject | None = None,
) -> PromptVersionRecord:
    """Store a version that shows one example, and move ``label`` to it."""
    version = await prompts.add_version(
        PromptVersionDraft(
            model=model,
            system_prompt=system_prompt,
            examples=tuple(examples),
            k=1 if examples else 0,
            sampling=sampling or {},
        )
    )
    if label is not None:
        await move_label(prompts, version, label)
    return version


async def move_label(
    prompts: PromptRepository, version: PromptVersionRecord, label: str = "production"
) -> None:
    """Point ``label`` to ``version``."""
    move = LabelMoveDraft(
        model=version.model, label=label, version_id=version.id, actor="test", reason="test"
    )
    await prompts.move_label(move)


@dataclass(frozen=True, kw_only=True)
class Service:
    """The application without a network in front of it, and what is behind it."""

    client: httpx.AsyncClient
    fake: FakeOpenAIServer
    resources: Resources

    async def ask(self, body: object, **headers: str) -> httpx.Response:
        """POST a chat request; underscores in header names become hyphens."""
        return await self.client.post(
            "/v1/chat/completions",
            json=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    @property
    def sent(self) -> Exchange:
        """The last request that the backend got."""
        return self.fake.requests[-1]


@asynccontextmanager
async def open_service(
    database_url: str,
    *,
    backend: JsonObject | None = None,
    capabilities: JsonObject | None = None,
    **groups: object,
) -> AsyncIterator[Service]:
    """The application in process, on a scripted backend over real HTTP; see ``settings_for``."""
    async with serve() as fake:
        settings = settings_for(database_url, fake, backend=backend, capabilities=capabilities, **groups)
        async with open_resources(settings) as resources, client_of(resources) as client:
            yield Service(client=client, fake=fake, resources=resources)


@dataclass(frozen=True, kw_only=True)
class Listening:
    """The service on a port of loopback, with its backend and its store."""

    url: str
    fake: FakeOpenAIServer
    resources: Resources

    @property
    def prompts(self) -> PromptRepository:
        """Its prompt versions."""
        return self.resources.prompts


@asynccontextmanager
async def serve_service(
    database_url: str,
    *,
    backend: JsonObject | None = None,
    capabilities: JsonObject | None = None,
    **groups: object,
) -> AsyncIterator[Listening]:
    """The whole service over real HTTP; see ``settings_for``."""
    async with serve() as fake:
        settings = settings_for(database_url, fake, backend=backend, capabilities=capabilities, **groups)
        async with open_resources(settings) as resources, embedded_app(resources) as url:
            yield Listening(url=url, fake=fake, resources=resources)


@asynccontextmanager
async def client_of(resources: Resources) -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls the application directly."""
    transport = httpx.ASGITransport(app=create_app(resources))
    async with httpx.AsyncClient(transport=transport, base_url="http://drpo") as client:
        yield client


@asynccontextmanager
async def open_prompts(database_url: str) -> AsyncIterator[PromptRepository]:
    """The store of a service that runs elsewhere."""
    database = Database(database_url)
    try:
        yield PromptRepository(database)
    finally:
        await database.close()
