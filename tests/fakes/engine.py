"""An engine that answers as it is told: in place of vLLM's, behind the same port."""

import asyncio
import json
import random
import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from app.llm.engine.port import (
    Engine,
    EngineDiedError,
    Output,
    RefusedByEngineError,
    RequestOutput,
    TokenLogprob,
)
from optimizer.types import JsonObject, JsonValue
from tests.fakes.openai_server import sample_of

WORDS = ["keep", "the", "basil", "warm", "and", "bright", "near", "a", "window", "water", "it", "little"]


@dataclass
class FakeLogprob(TokenLogprob):
    logprob: float
    decoded_token: str | None


@dataclass
class FakeOutput(Output):
    index: int
    text: str
    token_ids: Sequence[int]
    logprobs: Sequence[Mapping[int, TokenLogprob]] | None = None
    finish_reason: str | None = None


@dataclass
class FakeRequestOutput(RequestOutput):
    outputs: Sequence[Output]
    prompt_token_ids: Sequence[int] | None = None
    prompt_logprobs: Sequence[Mapping[int, TokenLogprob] | None] | None = None
    num_cached_tokens: int | None = 3


@dataclass
class FakeEngine(Engine):
    """Tokens are words; the seed decides which.

    Attributes:
        asked: tokens, sampling and priority of each request.
        aborted: how many were left before their end.
        hangs: whether it never answers.
        failure: what each request meets instead.
        words: those that have been sent, in the order of their tokens.
        threads: those in which conversations became tokens.
        dies_after: words of a stream after which it dies.
    """

    context: int = 100
    defaults: JsonObject = field(default_factory=dict)
    fingerprint: str = "vllm-fake"
    asked: list[tuple[list[int], JsonObject, int]] = field(default_factory=list)
    aborted: int = 0
    closed: int = 0
    hangs: bool = False
    failure: Exception | None = None
    dies_after: int | None = None
    templated: list[tuple[list[JsonObject], JsonObject]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    words: list[str] = field(default_factory=list)

    @override
    def chat_tokens(self, messages: list[JsonObject], options: JsonObject) -> list[int]:
        self.templated.append((messages, options))
        self.threads.add(threading.get_ident())
        if messages[0]["role"] == "nobody":
            raise RefusedByEngineError("the model's chat template does not take it")
        return [token for turn in messages for token in self.text_tokens(str(turn["content"]))]

    @override
    def text_tokens(self, text: str) -> list[int]:
        words = text.split()
        self.words += [word for word in dict.fromkeys(words) if word not in self.words]
        return [self.words.index(word) for word in words]

    @override
    async def generate(
        self, tokens: list[int], sampling: JsonObject, *, streams: bool, priority: int
    ) -> AsyncGenerator[RequestOutput, None]:
        self.asked.append((tokens, sampling, priority))
        if self.failure is not None:
            raise self.failure
        is_done = False
        try:
            if self.hangs:
                await asyncio.Event().wait()
            whole = [self._output(index, sampling) for index in range(int(str(sampling.get("n", 1))))]
            if not streams:
                is_done = True
                told = self._prompt_logprobs(tokens) if "prompt_logprobs" in sampling else None
                yield FakeRequestOutput(whole, prompt_logprobs=told)
                return
            for place in range(max(len(one.token_ids) for one in whole)):
                if place == self.dies_after:
                    raise EngineDiedError("the engine is dead")
                yield FakeRequestOutput([_piece(one, place) for one in whole if place < len(one.token_ids)])
            is_done = True
        finally:
            self.aborted += not is_done

    @override
    def close(self) -> None:
        self.closed += 1

    def _prompt_logprobs(self, tokens: list[int]) -> list[Mapping[int, TokenLogprob] | None]:
        """A word is the likelier, the more of the words before it begin as it does."""
        words = [self.words[token] for token in tokens]
        found: list[Mapping[int, TokenLogprob] | None] = [None]
        for place in range(1, len(tokens)):
            alike = sum(word[0] == words[place][0] for word in words[:place])
            found.append({tokens[place]: FakeLogprob(-1.0 / (1 + alike), f" {words[place]}")})
        return found

    def _output(self, index: int, sampling: JsonObject) -> FakeOutput:
        text = self._text(index, sampling)
        stop = sampling.get("stop")
        stops: list[JsonValue] = stop if isinstance(stop, list) else [stop]
        for end in stops:
            if isinstance(end, str):
                text = text.split(end)[0]
        words = text.split(" ")
        most = int(str(sampling["max_tokens"]))
        logprobs = sampling.get("logprobs")
        top = int(str(logprobs)) if logprobs is not None else None
        places = None if top is None else [_place(word, token, top) for token, word in enumerate(words)]
        reason = "stop" if len(words) <= most else "length"
        kept = places[:most] if places is not None else None
        return FakeOutput(index, " ".join(words[:most]), list(range(len(words[:most]))), kept, reason)

    def _text(self, index: int, sampling: JsonObject) -> str:
        structured = sampling.get("structured_outputs")
        if isinstance(structured, dict):
            schema = structured.get("json")
            return json.dumps(sample_of(schema) if schema else {}, separators=(",", ":"))
        draw = random.Random(f"{sampling.get('seed')} {index}")
        return " ".join(draw.sample(WORDS, 8))


def _place(word: str, token: int, top: int) -> dict[int, TokenLogprob]:
    others = {1000 + rank: FakeLogprob(-2.0 - rank, f"{word}{rank}") for rank in range(top)}
    return {token: FakeLogprob(-1.0, word), **others}


def _piece(one: FakeOutput, place: int) -> FakeOutput:
    words = one.text.split(" ")
    last = place == len(words) - 1
    return FakeOutput(
        one.index,
        words[place] + ("" if last else " "),
        [place],
        None if one.logprobs is None else [one.logprobs[place]],
        one.finish_reason if last else None,
    )
