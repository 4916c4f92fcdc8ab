"""Whether a backend answers again: one request that costs as little as any."""

import asyncio
from collections.abc import Mapping

from app.llm.errors import Origin
from app.llm.http import BackendClient, encode, post
from app.llm.wire import PATHS
from app.settings import BackendSettings, Settings
from optimizer.errors import BackendUnavailableError, MisconfiguredError, RequestRefusedError
from optimizer.types import JsonObject

PATIENCE_SECONDS = 60.0
"""A backend that takes longer to say a word is asked again later."""
_WORD = "Hi"


class BackendLiveness:
    """Asks configured backends for a single token. What that costs belongs to no job's budget."""

    def __init__(self, settings: Settings, clients: Mapping[str, BackendClient]) -> None:
        """For the backends of ``settings``, through the clients that all use: an engine is loaded once."""
        self._settings = settings
        self._clients = clients

    async def check(self, backend: str) -> None:
        """Ask ``backend``; a refusal that concerns this request alone is an answer.

        A backend that is not configured (any more) has nothing to answer: whoever waits for it finds out why.

        Raises:
            ModelError: it does not answer, or says that no request can work.
        """
        settings = self._settings.backends.get(backend)
        if settings is None:
            return
        origin, path, body = self._question(backend, settings)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await post(
                    self._clients[backend],
                    path,
                    encode(body, origin=origin),
                    origin=origin,
                    settings=settings,
                )
        except TimeoutError:
            message = f"backend {backend}: no word in {PATIENCE_SECONDS:.0f} seconds"
            raise BackendUnavailableError(message, backend=backend) from None
        except MisconfiguredError:
            raise
        except RequestRefusedError:
            return

    def _question(self, backend: str, settings: BackendSettings) -> tuple[Origin, str, JsonObject]:
        """Who is asked what, on the cheapest use that the settings make of ``backend``."""
        key = settings.read_api_key(backend)
        short: JsonObject = {"max_tokens": 1}
        chat: JsonObject = {"messages": [{"role": "user", "content": _WORD}], **short}
        for name, role in self._settings.named_roles():
            if role.backend == backend:
                origin = Origin(backend=backend, model=role.model, setting=name, key=key)
                return origin, PATHS["chat"], {"model": role.model, **chat}
        for name, target in self._settings.targets.items():
            if target.backend == backend:
                origin = Origin(backend=backend, model=target.model, setting=f"targets.{name}", key=key)
                body = chat if target.api == "chat" else {"prompt": _WORD, **short}
                return origin, PATHS[target.api], {"model": target.model, **body}
        model = self._settings.retrieval.model or ""
        origin = Origin(backend=backend, model=model, setting="retrieval", key=key)
        return origin, "embeddings", {"model": model, "input": [_WORD]}
