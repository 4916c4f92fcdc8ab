"""A model behind any server that speaks the OpenAI protocol: one request, no retries."""

from collections.abc import Callable
from typing import Final

from typing_extensions import override

from app.llm.capabilities import Capabilities
from app.llm.errors import Origin, error_in_body
from app.llm.http import BackendClient, encode, post
from app.llm.wire import PATHS, Api, read_json, read_result, request_body
from app.settings import BackendSettings
from optimizer.protocols import ChatModel
from optimizer.types import CompletionRequest, CompletionResult

SEARCH_PRIORITY: Final = 1
"""Of requests of jobs, where a backend takes one. Those of users have none, which is 0, and come first."""


class OpenAICompatibleModel(ChatModel):
    """One model over chat or plain completions."""

    def __init__(
        self,
        client: BackendClient,
        settings: BackendSettings,
        *,
        origin: Origin,
        api: Api,
        capabilities: Capabilities,
        clock: Callable[[], float],
    ) -> None:
        """The model that ``origin`` names.

        Args:
            client: the backend's client; stays open.
            settings: the backend's time-outs and limits.
            origin: whom to ask.
            api: chat, or completions for a base model.
            capabilities: what to leave out; with ``priority`` its requests go behind those of users.
            clock: monotonic seconds.
        """
        self._client = client
        self._settings = settings
        self._origin = origin
        self._api = api
        self._capabilities = capabilities
        self._clock = clock

    @property
    @override
    def name(self) -> str:
        return f"{self._origin.backend}/{self._origin.model}"

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        origin = self._origin
        body = request_body(request, api=self._api, model=origin.model, can=self._capabilities)
        if self._capabilities.priority:
            body["priority"] = SEARCH_PRIORITY
        content = encode(body, origin=origin)
        started = self._clock()
        response = await post(self._client, PATHS[self._api], content, origin=origin, settings=self._settings)
        seconds = self._clock() - started
        answer = read_json(response.body, backend=origin.backend)
        error = error_in_body(origin, answer, response.status, content=response.body)
        if error is not None:
            raise error
        return read_result(
            answer,
            api=self._api,
            request=request,
            backend=origin.backend,
            model=origin.model,
            seconds=seconds,
        )
