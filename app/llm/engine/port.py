"""What is used of vLLM's engine: as little as answers take, so that a test can stand in for it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from optimizer.types import JsonObject


class RefusedByEngineError(Exception):
    """The engine does not take this request; its message says why."""


class EngineDiedError(Exception):
    """The engine answers nobody any more; another one has to be opened."""


class TokenLogprob(Protocol):
    """One token that could stand at a place, as vLLM describes it."""

    logprob: float
    decoded_token: str | None


class Output(Protocol):
    """One completion, or what has come of it since the last time."""

    index: int
    text: str
    token_ids: Sequence[int]
    logprobs: Sequence[Mapping[int, TokenLogprob]] | None
    finish_reason: str | None


class RequestOutput(Protocol):
    """What the engine gives for a request."""

    prompt_token_ids: Sequence[int] | None
    prompt_logprobs: Sequence[Mapping[int, TokenLogprob] | None] | None
    outputs: Sequence[Output]
    num_cached_tokens: int | None


class Engine(Protocol):
    """A model that is loaded.

    Attributes:
        context: tokens of prompt and completion together, at most.
        defaults: sampling that the model's maker recommends, used where a request says nothing.
        fingerprint: vLLM's version, and a hash of the model and the arguments that it was opened with.
    """

    context: int
    defaults: JsonObject
    fingerprint: str

    def chat_tokens(self, messages: list[JsonObject], options: JsonObject) -> list[int]:
        """The conversation by the model's own template; called in a thread, by one at a time.

        Raises:
            RefusedByEngineError: the template does not take it.
        """
        ...

    def text_tokens(self, text: str) -> list[int]:
        """Plain text; called as ``chat_tokens`` is."""
        ...

    def generate(
        self, tokens: list[int], sampling: JsonObject, *, streams: bool, priority: int
    ) -> AsyncGenerator[RequestOutput, None]:
        """Complete ``tokens``; closing the generator, or cancelling who waits for it, aborts the request.

        Args:
            tokens: the prompt.
            sampling: as vLLM's ``SamplingParams`` names it.
            streams: whether outputs come as they are made; else all at once, at the end.
            priority: lower goes first.

        Raises:
            RefusedByEngineError: it does not take this.
            EngineDiedError: it died before or meanwhile.
        """
        ...

    def close(self) -> None:
        """End it; takes seconds, and blocks."""
        ...
