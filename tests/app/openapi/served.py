"""The service in a thread of its own, for clients that block, with one of each resource in its store."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.app.chat.serving import BASE_MODEL, MODEL, Listening, add_version, serve_service
from tests.clients.backend import embedded
from tests.fakes.openai_server import Exchange, Reply, error, well_behaved

ADMIN_KEY: Final = "sk-ours-0123456789abcdef"
EMBEDDER: Final = "embedder"
_MODELS: Final[Mapping[str, str]] = {
    "/v1/chat/completions": MODEL,
    "/v1/responses": MODEL,
    "/v1/completions": BASE_MODEL,
    "/v1/embeddings": EMBEDDER,
}
_RECEIVER: Final = "http://127.0.0.1:9/"  # nobody listens there
_SIGNING_KEY: Final = "signing-key-0123456789abcdef0123456789"


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running service.

    Attributes:
        url: where it listens.
        document: its OpenAPI document, but that requests name models and versions that there are.
        serve_key: a key that may ask models, and nothing else.
        places: values of path parameters under which there is something.
    """

    url: str
    document: dict[str, Any]
    serve_key: str
    places: Mapping[str, str]


def _tolerant(exchange: Exchange) -> Reply:
    """A backend that refuses what it cannot read, as a good one does."""
    try:
        return embedded(exchange.body) if exchange.path.endswith("/embeddings") else well_behaved(exchange)
    except (AssertionError, KeyError, TypeError, ValueError):
        return error(400)


@contextmanager
def served(database_url: str, *, max_body_bytes: int = 10 * 2**20) -> Iterator[Served]:
    """The service while the block runs; a body of more than ``max_body_bytes`` is too large for it."""
    ready: Future[Served] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def live() -> None:
        embedders = {EMBEDDER: {"backend": "upstream", "model": "e"}}
        async with serve_service(
            database_url,
            embedders=embedders,
            server={"api_key": ADMIN_KEY, "max_body_bytes": max_body_bytes},
            webhooks={"signing_key": _SIGNING_KEY, "private_hosts": ["127.0.0.1"]},
        ) as listening:
            listening.fake.script = _tolerant
            ready.set_result(await _furnished(listening))
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(live())
        except Exception as error:  # noqa: BLE001 - who waits in the other thread has to know
            ready.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ready.result(timeout=60)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=60)
        loop.close()


async def _furnished(listening: Listening) -> Served:
    """The service with one of each resource; jobs have ended, so that their events end too."""
    version = await add_version(listening.prompts)
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with httpx.AsyncClient(base_url=listening.url, headers=headers, trust_env=False) as client:

        async def made(path: str, **request: Any) -> dict[str, Any]:
            response = await client.post(path, **request)
            assert response.is_success, response.text
            told = response.json()
            assert isinstance(told, dict)
            return told

        example = {"query": "Why?", "answer": "Because."}
        job = await made("/v1/optimizations", json={"target": MODEL, "budget": {"calls": 500}})
        await made(f"/v1/optimizations/{job['id']}/cancel")
        bank = await made("/v1/example-banks", json={"examples": [example], "refine": False})
        key = await made("/v1/keys", json={"name": "a", "scopes": ["serve"]})
        other = await made("/v1/keys", json={"name": "b", "scopes": ["serve"]})
        dataset = await made("/v1/datasets", files={"file": ("q.jsonl", b'"Why?"\n')}, data={"name": "q"})
        webhook = await made("/v1/webhooks", json={"url": _RECEIVER})
        schedule = await made(
            "/v1/schedules",
            json={
                "name": "nightly",
                "request": {"target": MODEL, "budget": {"calls": 500}},
                "trigger": {"type": "cron", "cron": "0 3 * * *"},
            },
        )
        document = _steered((await client.get("/openapi.json")).json(), version.id)
    places = {
        "optimization_id": job["id"],
        "bank_id": bank["id"],
        "key_id": other["id"],
        "dataset_id": dataset["id"],
        "webhook_id": webhook["id"],
        "delivery_id": "1",
        "schedule_id": schedule["id"],
        "model": MODEL,
        "version_id": version.id,
        "label": "production",
    }
    return Served(url=listening.url, document=document, serve_key=key["key"], places=places)


def _steered(document: dict[str, Any], version: str) -> dict[str, Any]:
    """The document with texts that mean something in place of any text, which would never be one."""
    bodies = {
        path: operations["post"]["requestBody"]["content"]["application/json"]["schema"]
        for path, operations in document["paths"].items()
        if path in _MODELS
    }
    for path, model in _MODELS.items():
        bodies[path]["properties"]["model"]["enum"] = [model]
        bodies[path]["required"] = list({*bodies[path]["required"], "model"})
    schemas = document["components"]["schemas"]
    schemas["CreateOptimization"]["properties"]["target"]["enum"] = [MODEL]
    schemas["CreateWebhook"]["properties"]["url"]["enum"] = [_RECEIVER]
    schemas["MoveLabel"]["properties"]["version"]["enum"] = [version]
    return document
