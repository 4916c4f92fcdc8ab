"""Which build of a backend has answered a run, and with which model: for the record, nothing depends on it.

Answers name it themselves (``system_fingerprint``; vLLM's holds its version and a hash of its flags). The
rest is asked once an attempt, of each backend: OpenAI's list of models, in which vLLM says where the weights
are from, of what an adapter is one, and how long a context may be; and vLLM's version.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import aiohttp
import orjson
from pydantic import SecretStr
from typing_extensions import override
from yarl import URL

from app.llm.connections import open_session
from app.llm.wrapper import ModelWrapper
from app.settings import BackendSettings
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult, JsonObject, JsonValue, ModelRole

_SECONDS: Final = 2.0
"""The end of a job waits for it."""
_MOST_BYTES: Final = 1_000_000
_LONGEST: Final = 300
_OF_A_MODEL: Final = ("root", "parent", "max_model_len")


class Builds:
    """What the answers of one run say about who gave them, also those that come from its ledger."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._seen: dict[ModelRole, set[str]] = {}

    def watched(self, model: ChatModel, role: ModelRole) -> ChatModel:
        """``model`` in ``role``, whose answers are looked at."""
        return _WatchedModel(model, self._seen.setdefault(role, set()))

    def seen(self, role: ModelRole) -> list[str]:
        """The fingerprints of the answers in ``role``, sorted; more than one where a backend has changed."""
        return sorted(self._seen.get(role, ()))


class _WatchedModel(ModelWrapper):
    def __init__(self, model: ChatModel, seen: set[str]) -> None:
        super().__init__(model)
        self._seen = seen

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        result = await self._model.complete(request)
        if result.fingerprint is not None:
            self._seen.add(result.fingerprint)
        return result


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendSaid:
    """What a backend says about itself, as it came; None where it says nothing."""

    models: JsonValue = None
    version: JsonValue = None

    @property
    def has_adapters(self) -> bool:
        """Whether one of its models is an adapter of another one, as vLLM lists them."""
        return any(isinstance(item.get("parent"), str) for item in _items(self.models))

    def of(self, model: str) -> JsonObject:
        """``version``, and ``root``, ``parent`` and ``max_model_len`` of ``model``, where it names them."""
        found: JsonObject = {}
        if isinstance(self.version, dict):
            found["version"] = self.version.get("version")
        found |= {name: value for name, value in _listed(self.models, model).items() if name in _OF_A_MODEL}
        return {name: value for name, value in found.items() if _is_short(value)}


async def ask_backend(settings: BackendSettings, *, key: SecretStr | None) -> BackendSaid:
    """What a backend says about itself: nothing where it does not answer soon, or is no server."""
    if settings.base_url is None:
        return BackendSaid()
    base_url = URL(str(settings.base_url))
    headers = {} if key is None else {"authorization": f"Bearer {key.get_secret_value()}"}
    try:
        async with asyncio.timeout(_SECONDS), open_session() as session:
            listed = await _get(session, base_url / "models", headers)
            told = await _get(session, base_url.parent / "version", headers)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return BackendSaid()
    return BackendSaid(models=listed, version=told)


def _listed(answer: JsonValue, model: str) -> JsonObject:
    return next((item for item in _items(answer) if item.get("id") == model), {})


def _items(answer: JsonValue) -> list[JsonObject]:
    models = answer.get("data") if isinstance(answer, dict) else None
    return [item for item in models if isinstance(item, dict)] if isinstance(models, list) else []


def _is_short(value: JsonValue) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and 0 < len(value) <= _LONGEST)


async def _get(session: aiohttp.ClientSession, url: URL, headers: dict[str, str]) -> JsonValue:
    """The JSON at ``url``; None where there is none."""
    async with session.get(url, headers=headers, allow_redirects=False) as response:
        body = await response.content.read(_MOST_BYTES)
        while len(body) < _MOST_BYTES and (piece := await response.content.read(_MOST_BYTES - len(body))):
            body += piece
        if not response.ok:
            return None
    value: JsonValue = orjson.loads(body)
    return value
