"""A service with something of everything, of a model that a key may ask and of one that it may not."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from sqlalchemy import insert

from store.models.candidate import Candidate
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import BASE_MODEL, MODEL, Service, add_version, open_service

OWN: Final = MODEL
FOREIGN: Final = BASE_MODEL
FOREIGN_UPSTREAM: Final = "vendor-base-1"
FOREIGN_PROMPT: Final = "The foreign prompt, which nobody else may read."
EMBEDDER: Final = "embedder"
ADMIN: Final = {"authorization": "Bearer sk-admin-0123456789"}
GROUPS: Final[dict[str, Any]] = {
    "server": {"api_key": "sk-admin-0123456789"},
    "embedders": {EMBEDDER: {"backend": "upstream", "model": "vendor-embedder-1"}},
    "webhooks": {"signing_key": "x" * 44, "private_hosts": ["127.0.0.1:1"]},
}
UNKNOWN: Final = {
    "model": "no-such-model",
    "optimization_id": "opt_000000000000000000000000",
    "schedule_id": "sch_000000000000000000000000",
}
"""The parameters of paths that name a model or what belongs to one, with values that name nothing."""

QUERIES: Final = {"/v1/prompts/{model}/diff": "?from=1&to=1"}
"""What operations need beside their path."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One operation of the OpenAPI document."""

    method: str
    path: str

    @property
    def params(self) -> tuple[str, ...]:
        """The names of the parameters in its path."""
        return tuple(re.findall(r"{([^}:]*)(?::path)?}", self.path))

    def url(self, values: Mapping[str, str]) -> str:
        """Its path with ``values`` in place of the parameters."""
        path = re.sub(r"{([^}:]*)(?::path)?}", lambda found: values[found[1]], self.path)
        return path + QUERIES.get(self.path, "")


@dataclass(frozen=True, kw_only=True)
class Premises:
    """The service and what is in it.

    Attributes:
        key: may serve and optimize, with the model ``OWN`` and the embedder alone.
        own / foreign: values of the parameters in paths, by name.
    """

    service: Service
    key: dict[str, str]
    own: dict[str, str]
    foreign: dict[str, str]

    async def send(self, place: Place, values: Mapping[str, str], headers: dict[str, str]) -> httpx.Response:
        """Ask, with a body that the operation takes."""
        body = body_of(place, values)
        url = place.url(values)
        return await self.service.client.request(place.method, url, headers=headers, **body)

    async def snapshot(self) -> str:
        """All that keys may have changed, as text."""
        paths = [
            "/v1/prompts",
            "/v1/optimizations",
            "/v1/schedules",
            "/v1/example-banks",
            "/v1/datasets",
            "/v1/webhooks",
            *(
                f"/v1/prompts/{model}/{what}"
                for model in (OWN, FOREIGN)
                for what in ("versions", "label-moves")
            ),
        ]
        texts = [(await self.service.client.get(path, headers=ADMIN)).text for path in paths]
        keys = (await self.service.client.get("/v1/keys", headers=ADMIN)).json()
        return "\n".join(texts) + json.dumps([{**key, "last_used_at": None} for key in keys["data"]])


def body_of(place: Place, values: Mapping[str, str]) -> dict[str, Any]:
    """A body that ``place`` takes: it speaks of the model in ``values``."""
    if place.method not in {"POST", "PUT", "PATCH"}:
        return {}
    model = values["model"]
    job = {"target": model, "queries": ["a", "b", "c"], "held_out": 0, "examples": []}
    bodies: dict[str, Any] = {
        "/v1/chat/completions": {"model": model, "messages": [{"role": "user", "content": "hi"}]},
        "/v1/completions": {"model": model, "prompt": "hi"},
        "/v1/responses": {"model": model, "input": "hi"},
        "/v1/embeddings": {"model": model, "input": "hi"},
        "/v1/optimizations": job,
        "/v1/optimizations/estimate": job,
        "/v1/optimizations/{optimization_id}": {"priority": 3},
        "/v1/optimizations/{optimization_id}/restart": {"from_round": 1},
        "/v1/schedules": {"name": "x", "request": job, "trigger": {"type": "cron", "cron": "0 3 * * *"}},
        "/v1/schedules/{schedule_id}": {"name": "mine"},
        "/v1/evaluations": {"query": "Why?", "answers": ["Because."]},
        "/v1/evaluations/likelihood": {
            "model": model,
            "query": "Why?",
            "answer": "Because.",
            "versions": [values["version_id"]],
        },
        "/v1/example-banks": {"examples": [{"query": "q", "answer": "a"}], "refine": False},
        "/v1/prompts/{model}/versions": {"system_prompt": "Be brief."},
        "/v1/prompts/{model}/import": {
            "format": "openai",
            "content": [{"role": "system", "content": "Be brief."}],
        },
        "/v1/prompts/{model}/labels/{label}": {"version": values["version_id"], "reason": "r"},
        "/v1/webhooks": {"url": "http://127.0.0.1:1/hook"},
        "/v1/keys": {"name": "x"},
        "/v1/keys/{key_id}": {"name": "x"},
    }
    if place.path == "/v1/datasets":
        return {"files": {"file": ("q.jsonl", b'"a"\n"b"\n')}}
    return {"json": bodies.get(place.path, {})}


def places_of(document: dict[str, Any]) -> Iterator[Place]:
    """All operations below ``/v1/``."""
    for path, operations in document["paths"].items():
        for method in operations:
            if path.startswith("/v1/"):
                yield Place(method=method.upper(), path=path)


@asynccontextmanager
async def open_premises(database_url: str) -> AsyncIterator[Premises]:
    """Open the service and fill it."""
    async with open_service(database_url, **GROUPS) as service:
        dataset = await _made(service, Place(method="POST", path="/v1/datasets"), {"model": OWN})
        shared = {
            "dataset_id": dataset,
            "bank_id": await _made(service, Place(method="POST", path="/v1/example-banks"), {"model": OWN}),
            "webhook_id": await _made(service, Place(method="POST", path="/v1/webhooks"), {"model": OWN}),
            "key_id": await _made(service, Place(method="POST", path="/v1/keys"), {"model": OWN}),
            "delivery_id": "whd_x",
            "label": "production",
            "candidate_id": "c0",
        }
        own = shared | await _belongings(service, OWN, "Be kind.")
        foreign = shared | await _belongings(service, FOREIGN, FOREIGN_PROMPT)
        key, _ = await add_key(service.resources.access.keys, "serve", "optimize", models=(OWN, EMBEDDER))
        yield Premises(service=service, key=bearer(key), own=own, foreign=foreign)


async def _belongings(service: Service, model: str, prompt: str) -> dict[str, str]:
    values = {"model": model}
    version = await add_version(service.resources.prompts, prompt, model=model)
    response = await service.client.put(f"/v1/releases/{model}", headers=ADMIN, json={})
    assert response.status_code == 200, response.text
    job = await _made(service, Place(method="POST", path="/v1/optimizations"), values)
    async with service.resources.database.session() as session:  # nobody works on the job
        columns = {"optimization_id": job, "id": "c0", "round": 0, "system_prompt": prompt, "rationale": ""}
        await session.execute(insert(Candidate).values(columns))
    return {
        **values,
        "version_id": version.id,
        "optimization_id": job,
        "schedule_id": await _made(service, Place(method="POST", path="/v1/schedules"), values),
    }


async def _made(service: Service, place: Place, values: dict[str, str]) -> str:
    body = body_of(place, {"version_id": "", **values})
    response = await service.client.post(place.path, headers=ADMIN, **body)
    assert response.status_code < 300, response.text
    return str(response.json()["id"])
