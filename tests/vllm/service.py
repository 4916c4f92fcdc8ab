"""The service on a real vLLM: the tiny model, its adapter, and the same weights as a base model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from optimizer.types import JsonObject
from tests.app.jobs.service import JobService, open_service
from tests.vllm.server import ADAPTER, MODEL, VllmServer

BASE = "tiny-base"


def on_vllm(vllm: VllmServer, *, backend: JsonObject | None = None, **groups: Any) -> dict[str, Any]:
    """Groups of settings: all targets are on ``vllm``, all other roles on the simulated backend.

    Args:
        vllm: the server.
        backend: further settings of it.
        groups: further groups of settings.
    """
    simulated = {"backend": "simulated", "model": "simulated-critic"}
    return {
        "more_backends": {"vllm": {"base_url": vllm.url, "max_concurrency": 16, **(backend or {})}},
        "targets": {
            MODEL: {"backend": "vllm", "model": MODEL},
            ADAPTER: {"backend": "vllm", "model": ADAPTER},
            BASE: {"backend": "vllm", "model": MODEL, "api": "completions"},
            "absent": {"backend": "vllm", "model": "absent"},
        },
        "roles": {"proposer": simulated, "selector": simulated, "judge": simulated},
        **groups,
    }


@asynccontextmanager
async def service_on(
    vllm: VllmServer, database_url: str, *, backend: JsonObject | None = None, **groups: Any
) -> AsyncIterator[JobService]:
    """The application in process; see ``on_vllm``."""
    async with open_service(database_url, **on_vllm(vllm, backend=backend, **groups)) as service:
        yield service
