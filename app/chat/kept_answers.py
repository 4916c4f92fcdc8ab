"""Answers that are kept: whether a request may have one, under which name, and giving it again."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import orjson
from typing_extensions import override

from app.answer_cache.cache import AnswerCache, Found, KeptAnswer, answer_key
from app.chat.calls import PreparedCall
from app.chat.headers import AGE_HEADER, CACHE_HEADER
from app.llm.http import RawResponse
from app.llm.passthrough import Frames, Upstream
from app.llm.sse import FrameSplitter
from app.llm.wire import Path
from app.serving_settings import KeepSettings
from app.telemetry.current import timed
from app.telemetry.timing import Part
from optimizer.types import JsonObject

_DIRECTIVE: Final = re.compile(r"\s*([a-z-]+)\s*(?:=\s*\"?(\d{1,9})\"?\s*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheControl:
    """What a request says about kept answers.

    Attributes:
        finds: whether one may be given.
        keeps: whether its answer may be kept.
        max_age_seconds: no older one may be given; None for any age.
    """

    finds: bool = True
    keeps: bool = True
    max_age_seconds: float | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "CacheControl":
        """What ``cache-control`` says: ``no-store`` neither finds nor keeps, ``no-cache`` keeps."""
        text = headers.get("cache-control")
        if not text:
            return _ANYTHING
        said = {
            match[1]: match[2] for part in text.lower().split(",") if (match := _DIRECTIVE.fullmatch(part))
        }
        age = said.get("max-age")
        return cls(
            finds=not said.keys() & {"no-store", "no-cache"},
            keeps="no-store" not in said,
            max_age_seconds=None if age is None else float(age),
        )


_ANYTHING: Final = CacheControl()


class Keeping:
    """The kept answers of one request.

    Attributes:
        found: the one that it is answered with; None until ``find`` has found one.
    """

    def __init__(
        self, cache: AnswerCache, settings: KeepSettings, *, control: CacheControl, caller: str
    ) -> None:
        """A request that may have one.

        Args:
            cache: where they are.
            settings: the model's.
            control: what the request says.
            caller: who asks.
        """
        self.found: Found | None = None
        self._cache = cache
        self._settings = settings
        self._control = control
        self._caller = b"" if settings.shared else caller.encode()

    async def find(self, call: PreparedCall, headers: dict[str, str]) -> PreparedCall:
        """``call``, or what gives a kept answer in its place; ``headers`` are told which."""
        if self._control.finds:
            with timed(Part.STORE):
                found = await self._cache.find(self._key(call))
            most = self._control.max_age_seconds
            if found is not None and (most is None or found.age_seconds <= most):
                self.found = found
        headers[CACHE_HEADER] = "miss" if self.found is None else "hit"
        if self.found is None:
            return call
        headers[AGE_HEADER] = str(int(self.found.age_seconds))
        return call.answered_by(
            _Kept(self.found.answer.content),
            backend=self.found.answer.backend,
            upstream_model=self.found.answer.upstream_model,
        )

    @property
    def most_bytes(self) -> int:
        """The longest answer worth collecting; -1 for none at all."""
        return -1 if self.found is not None or not self._control.keeps else self._cache.max_entry_bytes

    def keep(self, call: PreparedCall, content: bytes) -> None:
        """Keep the answer of ``call``, which was good to its end.

        A fallback's is not kept: it would outlive what it stood in for.
        """
        if call.is_fallback or len(content) > self.most_bytes:
            return
        self._cache.keep(
            self._key(call),
            KeptAnswer(content=content, backend=call.backend, upstream_model=call.upstream_model),
            ttl_seconds=self._settings.ttl_seconds,
        )

    def _key(self, call: PreparedCall) -> str:
        # its model's public name in place of the backend's: which route answers makes no difference, nor does
        # the order of the fields; further down it may, as in a schema that an answer follows
        body = orjson.dumps(dict(sorted({**call.body, "model": call.model}.items())))
        version = (call.version_id or "").encode()
        parts = (self._caller, call.path.encode(), version, body)
        return answer_key(parts if call.best_of is None else (*parts, b"best of several"))


def keeping_of(
    cache: AnswerCache, settings: KeepSettings, call: PreparedCall, *, headers: Mapping[str, str], caller: str
) -> Keeping | None:
    """The kept answers of the request that ``call`` is made for; None where it may have none.

    Args:
        cache: where they are.
        settings: the model's.
        call: made for the request.
        headers: of the request.
        caller: who asks.
    """
    if settings.requests == "deterministic" and call.path != "embeddings" and not _asks_for_same(call.body):
        return None
    control = CacheControl.of(headers)
    if not (control.finds or control.keeps):
        return None
    return Keeping(cache, settings, control=control, caller=caller)


def _asks_for_same(body: JsonObject) -> bool:
    """Whether a request wants the same answer each time: at temperature 0, or by a seed."""
    temperature = body.get("temperature")
    is_greedy = isinstance(temperature, int | float) and temperature == 0
    return is_greedy or body.get("seed") is not None


class _Kept(Upstream):
    """Answers as a backend has answered before."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @override
    async def send(self, body: bytes, path: Path) -> RawResponse:
        return RawResponse(status=200, headers={}, body=self._content)

    @override
    @asynccontextmanager
    async def stream(self, body: bytes, path: Path) -> AsyncIterator[Frames]:
        yield _at_once(FrameSplitter().feed(self._content))


async def _at_once(frames: list[bytes]) -> Frames:
    yield frames
