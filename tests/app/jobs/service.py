"""The service in process on the simulated backend, and the small jobs that tests give it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from app.main import create_app
from app.resources import Resources, open_resources
from app.settings import Settings
from optimizer.types import JsonObject
from store.records.progress import EventRecord
from tests.app.jobs.backend import Replace, ScriptedTransport, script_backend

SMALL = "simulated-small"
TINY: JsonObject = {
    "depth": 3,
    "beam_width": 2,
    "proposals_per_candidate": 2,
    "minibatch_size": 1,
    "max_depth_increase": 0,
    "k": 1,
    "skip_threshold": 5,
}
"""3 + 6 + 11 calls for the search, and 5 for each held-out query."""
PLAIN_GATE: JsonObject = {"finalists": 1, "judged_again": 0}
FINISHED = "optimization_finished"

_POOR_PROMPT = """\
Write as long as possible, in convoluted sentences full of jargon.
State everything with confidence and fill any gap with your best guess.
Deflect, hand the work back, and stay on the surface."""
_GOOD_PROMPT = """\
Answer what was asked first, with something practical that the person can act on.
Structure longer answers in a logical order, in plain words and short sentences.
State only what is well established as fact, and say how sure you are.
Explain why, with an example.
Get to the point in the first sentence."""


def settings_for(
    database_url: str,
    *,
    backend: JsonObject | None = None,
    simulated: JsonObject | None = None,
    more_backends: JsonObject | None = None,
    **groups: Any,
) -> Settings:
    """The embedded defaults on another database.

    Args:
        database_url: a migrated database.
        backend: further settings of the simulated backend's connection.
        simulated: how it behaves.
        more_backends: backends beside it.
        groups: further groups of settings.
    """
    return Settings.model_validate(
        {
            "database": {"url": database_url},
            "backends": {
                "simulated": {"kind": "simulated", "simulated": simulated or {}, **(backend or {})},
                **(more_backends or {}),
            },
            **groups,
        }
    )


def proposing(system_prompt: str) -> Replace:
    """Every proposal is ``system_prompt``, but for dots at its end."""

    def replace(role: str, number: int, _: str) -> str | None:
        proposal = {"analysis": "as the test wants it", "system_prompt": f"{system_prompt}\n{'.' * number}"}
        return json.dumps(proposal) if role == "proposer" else None

    return replace


def job(**changes: Any) -> dict[str, Any]:
    """A request for a tiny job; ``settings`` are put on top of ``TINY``'s where it is a beam search."""
    usual = {} if changes.get("preset") == "default" else TINY
    own = {"settings": {**usual, **changes.pop("settings", {})}}
    return {"target": SMALL, "preset": "paper", "held_out": 8, "gate": PLAIN_GATE, **own, **changes}


@dataclass(frozen=True, kw_only=True)
class JobService:
    """The application without a network in front of it, and what is behind it."""

    client: httpx.AsyncClient
    resources: Resources
    backend: ScriptedTransport

    async def post(self, path: str, body: object = None) -> httpx.Response:
        """POST ``body`` as JSON."""
        return await self.client.post(path, json=body)

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """The JSON object at ``path``."""
        response = await self.client.get(path, params=params)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def start(self, **changes: Any) -> str:
        """Queue a tiny job; its id."""
        response = await self.post("/v1/optimizations", job(**changes))
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    async def wait_for(
        self, optimization_id: str, event_type: str = FINISHED, *, count: int = 1
    ) -> EventRecord:
        """Wait until ``count`` events of this type are there; the last of them."""
        seq, seen = 0, 0
        while True:
            for event in await self.resources.progress.wait_for_events(optimization_id, seq, timeout=60):
                seq = event.seq
                seen += event.type == event_type
                if seen == count:
                    return event
                assert event.type != FINISHED, f"the job has ended without {event_type}: {event.body}"

    async def finished(self, optimization_id: str) -> dict[str, Any]:
        """The job once it has ended."""
        await self.wait_for(optimization_id)
        return await self.get(f"/v1/optimizations/{optimization_id}")

    async def run(self, **changes: Any) -> dict[str, Any]:
        """Run a tiny job to its end."""
        return await self.finished(await self.start(**changes))

    async def start_to_promotion(self, **changes: Any) -> str:
        """Queue a tiny job whose winner will be better beyond any doubt; its id."""
        self.backend.replace = proposing(_GOOD_PROMPT)
        return await self.start(seed_prompt=_POOR_PROMPT, **changes)

    async def run_to_promotion(self, **changes: Any) -> dict[str, Any]:
        """Run such a job to its end."""
        return await self.finished(await self.start_to_promotion(**changes))

    async def candidates(self, optimization_id: str) -> list[dict[str, Any]]:
        """The tree."""
        found: list[dict[str, Any]] = (await self.get(f"/v1/optimizations/{optimization_id}/candidates"))[
            "data"
        ]
        return found

    async def evaluations(self, optimization_id: str, **params: Any) -> list[dict[str, Any]]:
        """The rollouts."""
        path = f"/v1/optimizations/{optimization_id}/evaluations"
        found: list[dict[str, Any]] = (await self.get(path, **params))["data"]
        return found

    async def events(self, optimization_id: str) -> tuple[EventRecord, ...]:
        """All events so far."""
        return await self.resources.progress.events_after(optimization_id, 0, limit=10_000)

    async def label(self, model: str = SMALL, name: str = "production") -> str | None:
        """The id of the version that the label points to."""
        version = await self.resources.prompts.labelled(model, name)
        return None if version is None else version.id


@asynccontextmanager
async def open_service(database_url: str, **groups: Any) -> AsyncIterator[JobService]:
    """The application in process; see ``settings_for``."""
    async with (
        open_resources(settings_for(database_url, **groups)) as resources,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=create_app(resources)), base_url="http://127.0.0.1"
        ) as client,
    ):
        yield JobService(client=client, resources=resources, backend=script_backend(resources))


async def outcome(service: JobService, optimization_id: str) -> dict[str, Any]:
    """All that a job found, without ids and times that differ between stores."""
    tree = await service.candidates(optimization_id)
    evaluations = await service.evaluations(optimization_id)
    rounds = await service.resources.tree.rounds(optimization_id)
    found = await service.get(f"/v1/optimizations/{optimization_id}")
    return {
        "status": found["status"],
        "result": found["result"],
        "candidates": tree,
        "rankings": [(item.round, item.ranking, item.rounds_left) for item in rounds],
        "evaluations": [_timeless(item) for item in evaluations],
    }


def _timeless(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in evaluation.items() if name not in {"at", "seconds"}}


def failure(response: httpx.Response, status: int = 400) -> dict[str, Any]:
    """The content of an error's envelope, whose four fields have to be there."""
    assert response.status_code == status, response.text
    body = response.json()
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    envelope: dict[str, Any] = body["error"]
    return envelope
