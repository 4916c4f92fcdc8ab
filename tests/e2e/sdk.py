"""The official SDK as a user sets it up, against the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from app.server import embedded_service
from app.settings import Settings
from optimizer.types import JsonObject

SIMULATED = "simulated-chat"
SIMULATED_BASE = "simulated-base"
HELLO: ChatCompletionUserMessageParam = {"role": "user", "content": "Why is the sea blue?"}


@asynccontextmanager
async def sdk(base_url: str, key: str = "any") -> AsyncIterator[AsyncOpenAI]:
    """The SDK as a user sets it up, but without its retries."""
    async with AsyncOpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0, timeout=30) as client:
        yield client


@asynccontextmanager
async def simulated(database_url: str, faults: JsonObject | None = None) -> AsyncIterator[AsyncOpenAI]:
    """The SDK against the service as it runs without any configuration."""
    settings = Settings.model_validate(
        {
            "database": {"url": database_url},
            "backends": {"simulated": {"kind": "simulated", "simulated": {"faults": faults or {}}}},
            "jobs": {"max_running": 0},
        }
    )
    async with embedded_service(settings) as url, sdk(url) as client:
        yield client
