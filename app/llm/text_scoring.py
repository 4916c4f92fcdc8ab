"""How likely a model finds a given text: the port, and any server that gives log-probabilities of prompts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from app.llm.capabilities import Capabilities
from app.llm.errors import Origin, error_in_body
from app.llm.http import BackendClient, encode, post
from app.llm.opened_backend import Assignment
from app.llm.scoring_wire import (
    ScoredToken,
    UnreadableScoreError,
    Way,
    read_scored,
    scoring_body,
    scoring_way,
)
from app.llm.wire import PATHS, Api, fold_system, read_json, read_usage
from app.settings import BackendSettings
from optimizer.errors import InvalidInputError, MalformedResponseError
from optimizer.protocols import ChatModel
from optimizer.types import (
    Completion,
    CompletionRequest,
    CompletionResult,
    JsonValue,
    Message,
    Sampling,
    Usage,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredText:
    """A text's tokens, as the model cuts it; never empty."""

    tokens: tuple[ScoredToken, ...]

    @property
    def logprob(self) -> float:
        """The natural logarithm of the whole text's probability; its end is not counted in."""
        return sum(token.logprob for token in self.tokens)

    @property
    def mean_logprob(self) -> float:
        """The same for a token, which texts of different lengths can be compared by."""
        return self.logprob / len(self.tokens)


class TextScorer(Protocol):
    """A model that tells how likely it finds a text that somebody else has written."""

    @property
    def name(self) -> str:
        """``backend/model``."""
        ...

    async def score(self, prompt: Sequence[Message] | str, text: str) -> ScoredText:
        """How likely ``text`` is as the answer to ``prompt``. Safe to call concurrently.

        Args:
            prompt: a conversation, or the text before for a base model.
            text: not blank.

        Raises:
            InvalidInputError: the text is blank.
            ModelError: the model refused, or what it gave cannot be read.
            BudgetExceededError: the call was not made.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringCalls(ChatModel):
    """One request for the likelihood of a text, in the form of a request for a completion.

    The last message of the prompt is the text, for a base model after one with all that goes before it; the
    completion is the text, and its tokens are the log-probabilities. So budget, limits and metering are those
    of all other calls.

    Attributes:
        client: the backend's client; stays open.
        settings: the backend's time-outs and limits.
        origin: whom to ask.
        api: chat, or completions for a base model.
        way: how the backend gives log-probabilities of what it is sent.
        folds_system: whether the model takes no system messages.
        clock: monotonic seconds.
    """

    client: BackendClient
    settings: BackendSettings
    origin: Origin
    api: Api
    way: Way
    folds_system: bool
    clock: Callable[[], float]

    @property
    @override
    def name(self) -> str:
        return f"{self.origin.backend}/{self.origin.model}"

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        origin = self.origin
        *before, last = (message for message in request.prompt if isinstance(message, Message))
        turns = fold_system(before) if self.folds_system else tuple(before)
        prompt: Sequence[Message] | str = turns if self.api == "chat" else before[0].text
        body = {"model": origin.model, **scoring_body(prompt, last.text, way=self.way)}
        started = self.clock()
        response = await post(
            self.client, PATHS[self.api], encode(body, origin=origin), origin=origin, settings=self.settings
        )
        seconds = self.clock() - started
        answer = read_json(response.body, backend=origin.backend)
        error = error_in_body(origin, answer, response.status, content=response.body)
        if error is not None:
            raise error
        return CompletionResult(
            completions=(Completion(text=last.text, logprobs=self._tokens(answer, last.text)),),
            usage=self._usage(answer),
            model=origin.model,
            seconds=seconds,
        )

    def _tokens(self, answer: JsonValue, text: str) -> JsonValue:
        try:
            found = read_scored(answer, text, way=self.way)
        except UnreadableScoreError as error:
            raise MalformedResponseError(
                f"backend {self.origin.backend} sent log-probabilities that cannot be read: {error}",
                backend=self.origin.backend,
            ) from None
        return [[token.text, token.logprob] for token in found]

    def _usage(self, answer: JsonValue) -> Usage | None:
        return read_usage(answer.get("usage")) if isinstance(answer, dict) else None


def scoring_calls(
    assignment: Assignment, can: Capabilities, *, target: str, clock: Callable[[], float]
) -> ScoringCalls:
    """The calls of the model that ``target`` names, which can do ``can``; ``clock`` gives monotonic seconds.

    Raises:
        InvalidInputError: its backend does not tell how likely a text is.
    """
    way = scoring_way(can, assignment.api)
    if way is None:
        raise InvalidInputError(
            f"the backend of {target} does not tell how likely a given text is, as vLLM does by "
            "prompt_logprobs, and others for completions by echo",
            param="model",
        )
    return ScoringCalls(
        client=assignment.backend.client,
        settings=assignment.backend.settings,
        origin=assignment.origin,
        api=assignment.api,
        way=way,
        folds_system=not can.system_role,
        clock=clock,
    )


class BackendTextScorer(TextScorer):
    """A model behind ``calls``."""

    def __init__(self, calls: ChatModel) -> None:
        """Ask ``calls``, which answers as ``ScoringCalls`` does."""
        self._calls = calls

    @property
    @override
    def name(self) -> str:
        return self._calls.name

    @override
    async def score(self, prompt: Sequence[Message] | str, text: str) -> ScoredText:
        if not text.strip():
            raise InvalidInputError("the text is blank", param="text")
        before = (Message(role="user", content=prompt),) if isinstance(prompt, str) else tuple(prompt)
        request = CompletionRequest(
            prompt=(*before, Message(role="assistant", content=text)), sampling=Sampling(max_tokens=1)
        )
        [completion] = (await self._calls.complete(request)).completions
        told = completion.logprobs if isinstance(completion.logprobs, list) else []
        pairs = [item for item in told if isinstance(item, list)]
        return ScoredText(
            tokens=tuple(ScoredToken(text=str(item[0]), logprob=float(str(item[1]))) for item in pairs)
        )
