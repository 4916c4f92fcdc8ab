"""Finding out what a model can do: a handful of tiny requests, once.

What a server refuses, or accepts and then ignores, counts as missing.
"""

import random
from dataclasses import dataclass
from typing import Final

import orjson

from app.llm.builds import ask_backend
from app.llm.capabilities import MOST_TOP_LOGPROBS, Capabilities, MaxTokensField
from app.llm.errors import Origin, error_in_body
from app.llm.http import BackendClient, encode, post
from app.llm.limits.limiter import BackendLimiter
from app.llm.retry import Sleep, retrying
from app.llm.scoring_wire import UnreadableScoreError, Way, read_scored, scoring_body
from app.llm.sse import FrameSplitter, payload
from app.llm.token_counts import TokenCounter
from app.llm.wire import PATHS, Api, read_json, read_usage
from app.settings import BackendSettings
from optimizer.concurrency import run_together
from optimizer.errors import BackendUnavailableError, MisconfiguredError, RequestRefusedError
from optimizer.types import CompletionRequest, JsonObject, JsonValue, Message

_JOB = "probes"
_TOKENS = 256
"""About what one request takes."""
_SHORT = 16
_LONG = 64
_QUESTION = "Name a colour. Plain words or JSON, as you like."
_COLOURS: Final = ("red", "green", "blue")
_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": list(_COLOURS)}},
    "required": ["colour"],
    "additionalProperties": False,
}
_WORDS = "Celadon, or rather a green."
_NEVER_SAID: Final = ("celadon-7", "gamboge-7")
_STRUCTURED: JsonObject = {
    "type": "object",
    "properties": {"colour": {"type": "string", "enum": list(_NEVER_SAID)}},
    "required": ["colour"],
    "additionalProperties": False,
}
"""Who ignores it would not come upon it by chance."""
_FEW_ALTERNATIVES = 5
"""What servers with a lower limit than most give."""
_INTERNAL_ERROR = 500
_NOT_IMPLEMENTED = 501


@dataclass(frozen=True, kw_only=True, slots=True)
class Prober:
    """Asks one model.

    Attributes:
        client: the backend's client.
        settings: the backend's limits.
        origin: whom to ask.
        api: chat or completions.
        limiter: the backend's; probes wait for a place as all requests do.
        sleep: how to wait between retries.
    """

    client: BackendClient
    settings: BackendSettings
    origin: Origin
    api: Api
    limiter: BackendLimiter
    sleep: Sleep

    async def probe(self) -> Capabilities:
        """Find out.

        Raises:
            ModelError: the model doesn't even answer the plainest request.
        """
        limit_field, plain = await self._plainest()
        answers = await run_together(
            [
                self._accepts(limit_field, {"temperature": 0, "top_p": 1}),
                self._gives_several(limit_field, {}),
                self._gives_several(limit_field, {"temperature": 0}),
                self._accepts(limit_field, {"seed": 1}),
                self._reports_usage_in_stream(limit_field),
                self._takes_system_messages(limit_field),
                self._follows_a_schema(limit_field),
                self._keeps_to_json(limit_field),
                self._takes_structured_outputs(limit_field),
                self._takes_priority(limit_field),
            ]
        )
        sampling, several, greedy, seed, usage_in_stream, system_role, *rest = answers
        json_schema, json_mode, structured_outputs, priority = rest
        alternatives = await self._alternatives(limit_field)
        usage = read_usage(plain.get("usage"))
        prompt_logprobs, echo = await self._ways_of_scoring()
        return Capabilities(
            system_role=system_role,
            sampling=sampling,
            n=several,
            greedy_n=several and (greedy or not sampling),
            seed=seed,
            logprobs=alternatives is not None,
            top_logprobs=alternatives or 0,
            json_schema=json_schema,
            json_mode=json_mode,
            structured_outputs=structured_outputs,
            prompt_logprobs=prompt_logprobs,
            echo=echo,
            tokenize=usage is not None and await self._counts_tokens() == usage.prompt_tokens,
            max_tokens_field=limit_field,
            usage=usage is not None,
            usage_in_stream=usage_in_stream,
            priority=priority,
        )

    async def _plainest(self) -> tuple[MaxTokensField, JsonObject]:
        try:
            return "max_tokens", self._object(await self._answer({"max_tokens": _SHORT}))
        except MisconfiguredError:
            raise
        except RequestRefusedError:
            return "max_completion_tokens", self._object(
                await self._answer({"max_completion_tokens": _SHORT})
            )

    async def _accepts(self, limit_field: str, fields: JsonObject) -> bool:
        return await self._try({limit_field: _SHORT, **fields}) is not None

    async def _gives_several(self, limit_field: str, sampling: JsonObject) -> bool:
        answer = await self._try({limit_field: _SHORT, "n": 2, **sampling})
        choices = answer.get("choices") if answer else None
        return isinstance(choices, list) and len(choices) == 2  # noqa: PLR2004 - as many as were asked for

    async def _alternatives(self, limit_field: str) -> int | None:
        """How many alternatives come with each token; None where there are no log-probabilities at all."""
        for count in (MOST_TOP_LOGPROBS, _FEW_ALTERNATIVES, 0):
            wanted: JsonObject = {"logprobs": True, "top_logprobs": count} if count else {"logprobs": True}
            if self.api == "completions":
                wanted = {"logprobs": max(1, count)}
            answer = await self._try({limit_field: _SHORT, **wanted})
            if answer is not None:
                logprobs = _choice(answer).get("logprobs")
                return min(count, _alternatives_in(logprobs)) if logprobs else None
        return None

    async def _takes_system_messages(self, limit_field: str) -> bool:
        if self.api == "completions":
            return True
        messages: JsonValue = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": _QUESTION},
        ]
        return await self._accepts(limit_field, {"messages": messages})

    async def _follows_a_schema(self, limit_field: str) -> bool:
        described: JsonValue = {"name": "colour", "schema": _SCHEMA, "strict": True}
        if self.api == "completions":
            return False
        wanted: JsonValue = {"type": "json_schema", "json_schema": described}
        reply = await self._json({"response_format": wanted}, limit_field)
        return reply is not None and set(reply) == {"colour"} and reply["colour"] in _COLOURS

    async def _keeps_to_json(self, limit_field: str) -> bool:
        if self.api == "completions":
            return False
        return await self._json({"response_format": {"type": "json_object"}}, limit_field) is not None

    async def _takes_structured_outputs(self, limit_field: str) -> bool:
        reply = await self._json({"structured_outputs": {"json": _STRUCTURED}}, limit_field)
        return reply is not None and reply.get("colour") in _NEVER_SAID

    async def _takes_priority(self, limit_field: str) -> bool:
        """Whether it looks at a priority: it refuses one that is no number, and no other."""
        if await self._accepts(limit_field, {"priority": "late"}):
            return False
        return await self._accepts(limit_field, {"priority": 1})

    async def _ways_of_scoring(self) -> tuple[bool, bool]:
        """Whether it tells how likely a given text is, by a field of its own and by an echo.

        Nobody is asked who serves adapters: where vLLM does, such a request ends the whole server if another
        one is under way (seen with 0.32), or gets numbers that are wrong. For the same reason they go alone.
        """
        if (await ask_backend(self.settings, key=self.origin.key)).has_adapters:
            return False, False
        return await self._scores_a_text("prompt_logprobs"), await self._scores_a_text("echo")

    async def _scores_a_text(self, way: Way) -> bool:
        """Whether it tells how likely the words of a given text are."""
        if self.api == "chat" and way == "echo":
            return False
        turns = (Message(role="user", content=_QUESTION),)
        prompt = turns if self.api == "chat" else f"{_QUESTION}\n"
        answer = await self._try(scoring_body(prompt, _WORDS, way=way))
        try:
            return answer is not None and bool(read_scored(answer, _WORDS, way=way))
        except UnreadableScoreError:
            return False

    async def _counts_tokens(self) -> int | None:
        """The tokens of the question that was asked first."""
        prompt = (Message(role="user", content=_QUESTION),) if self.api == "chat" else _QUESTION
        counter = TokenCounter(self.client, self.settings, origin=self.origin, folds_system=False)
        async with self.limiter.slot(_JOB, _TOKENS):
            return await counter.count(CompletionRequest(prompt=prompt))

    async def _json(self, wanted: JsonObject, limit_field: str) -> JsonObject | None:
        choice = _choice(await self._try({limit_field: _LONG, **wanted}))
        message = choice.get("message")
        text = message.get("content") if isinstance(message, dict) else choice.get("text")
        try:
            value: JsonValue = orjson.loads(text) if isinstance(text, str) else None
        except orjson.JSONDecodeError:
            return None
        return value if isinstance(value, dict) else None

    async def _reports_usage_in_stream(self, limit_field: str) -> bool:
        fields: JsonObject = {
            limit_field: _SHORT,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        body = await self._try_to_get(fields)
        frames = [] if body is None else FrameSplitter().feed(body + b"\n\n")
        return any(_reports_usage(payload(frame)) for frame in frames)

    async def _try(self, fields: JsonObject) -> JsonObject | None:
        """The answer, or None where the server does not take ``fields``."""
        body = await self._try_to_get(fields)
        return None if body is None else self._object(body)

    async def _try_to_get(self, fields: JsonObject) -> bytes | None:
        try:
            return await self._answer(fields)
        except MisconfiguredError as error:
            if error.status == _NOT_IMPLEMENTED:
                return None
            raise
        except RequestRefusedError:
            return None
        except BackendUnavailableError as error:
            # Some servers fall over what they don't know; they did answer the plainest request.
            if error.status == _INTERNAL_ERROR:
                return None
            raise

    def _object(self, body: bytes) -> JsonObject:
        value = read_json(body, backend=self.origin.backend)
        return value if isinstance(value, dict) else {}

    async def _answer(self, fields: JsonObject) -> bytes:
        policy = retrying(self.settings.retries, random.Random(0), self.sleep)
        answer: bytes = await policy(self._post, fields)
        return answer

    async def _post(self, fields: JsonObject) -> bytes:
        question: JsonObject = {"messages": [{"role": "user", "content": _QUESTION}]}
        if self.api == "completions":
            question = {"prompt": _QUESTION}
        body = encode({"model": self.origin.model, **question, **fields}, origin=self.origin)
        async with self.limiter.slot(_JOB, _TOKENS):
            response = await post(
                self.client, PATHS[self.api], body, origin=self.origin, settings=self.settings
            )
            # Only a stream may be something else than JSON; what is garbled here is asked for again.
            if not fields.get("stream") or response.body.startswith(b"{"):
                answer = read_json(response.body, backend=self.origin.backend)
                error = error_in_body(self.origin, answer, response.status, content=response.body)
                if error is not None:
                    raise error
        return response.body


def _reports_usage(event: bytes) -> bool:
    try:
        value: JsonValue = orjson.loads(event)
    except orjson.JSONDecodeError:  # such as [DONE]
        return False
    return isinstance(value, dict) and read_usage(value.get("usage")) is not None


def _alternatives_in(logprobs: JsonValue) -> int:
    """How many alternatives stand at the first token, in the form of either API."""
    if not isinstance(logprobs, dict):
        return 0
    content = logprobs.get("content")
    first = content[0] if isinstance(content, list) and content else None
    found = first.get("top_logprobs") if isinstance(first, dict) else logprobs.get("top_logprobs")
    if isinstance(found, list) and found and isinstance(found[0], dict) and "token" not in found[0]:
        found = found[0]  # completions: an object with an entry for each alternative
    return len(found) if isinstance(found, list | dict) else 0


def _choice(answer: JsonObject | None) -> JsonObject:
    choices = answer.get("choices") if answer else None
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}
