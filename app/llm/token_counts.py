"""How many tokens a prompt has, where the backend counts them (vLLM's ``/tokenize``)."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from app.llm.errors import Origin
from app.llm.http import BackendClient, encode, post
from app.llm.wire import fold_system, is_count, message_to_json, read_json
from app.settings import BackendSettings
from optimizer.errors import ModelError
from optimizer.types import CompletionRequest, JsonObject

TokenCount: TypeAlias = Callable[[CompletionRequest], Awaitable[int | None]]
"""The tokens of a request's prompt; None where they could not be counted."""

_PATH: Final = "../tokenize"
"""It stands beside ``/v1``."""


class TokenCounter:
    """Has one model's prompts counted, with what its template adds."""

    def __init__(
        self, client: BackendClient, settings: BackendSettings, *, origin: Origin, folds_system: bool
    ) -> None:
        """The counter of the model that ``origin`` names.

        Args:
            client: the backend's client; stays open.
            settings: the backend's time-outs and limits.
            origin: whose model it is.
            folds_system: whether the model takes no system messages.
        """
        self._client = client
        self._settings = settings
        self._origin = origin
        self._folds_system = folds_system

    async def count(self, request: CompletionRequest) -> int | None:
        """The tokens of the prompt of ``request``; None where the backend does not say. Never raises."""
        body: JsonObject = {"model": self._origin.model}
        if isinstance(request.prompt, str):
            body["prompt"] = request.prompt
        else:
            messages = fold_system(request.prompt) if self._folds_system else request.prompt
            body["messages"] = [message_to_json(message) for message in messages]
        try:
            content = encode(body, origin=self._origin)
            response = await post(self._client, _PATH, content, origin=self._origin, settings=self._settings)
            answer = read_json(response.body, backend=self._origin.backend)
        except ModelError:
            return None
        counted = answer.get("count") if isinstance(answer, dict) else None
        return counted if is_count(counted) and isinstance(counted, int) else None
