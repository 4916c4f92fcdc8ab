"""Which build of a backend has answered a run, and with which model: for the record, nothing depends on it.

Answers name it themselves (``system_fingerprint``; vLLM's holds its version and a hash of its flags). The
rest is asked once an attempt: OpenAI's list of models, in which vLLM says where the weights are from, of what
an adapter is one, and how long a context may be; and vLLM's version.
"""

import asyncio
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

_SECONDS: Final = 5.0
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


async def describe_backend(settings: BackendSettings, *, model: str, key: SecretStr | None) -> JsonObject:
    """What a backend says about itself and ``model``: ``version``, ``root``, ``parent``, ``max_model_len``.

    What it does not name is left out, and everything where it does not answer or is simulated.
    """
    if settings.base_url is None:
        return {}
    base_url = URL(str(settings.base_url))
    headers = {} if key is None else {"authorization": f"Bearer {key.get_secret_value()}"}
    try:
        async with asyncio.timeout(_SECONDS), open_session() as session:
            listed = await _get(session, base_url / "models", headers)
            told = await _get(session, base_url.parent / "version", headers)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return {}
    found: JsonObject = {}
    if isinstance(told, dict):
        found["version"] = told.get("version")
    found |= {name: value for name, value in _listed(listed, model).items() if name in _OF_A_MODEL}
    return {name: value for name, value in found.items() if _is_short(value)}


def _listed(answer: JsonValue, model: str) -> JsonObject:
    models = answer.get("data") if isinstance(answer, dict) else None
    found = [item for item in models if isinstance(item, dict)] if isinstance(models, list) else []
    return next((item for item in found if item.get("id") == model), {})


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
