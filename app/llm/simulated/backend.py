"""The simulated backend without a carrier: bytes of a request in, what has to be sent back out."""

import dataclasses
import random
from collections import OrderedDict
from dataclasses import dataclass

import orjson
from pydantic import ValidationError

from app.backend_settings import SimulatedSettings
from app.llm.simulated import wire
from app.llm.simulated.draws import Draw, digest, generator, share
from app.llm.simulated.embeddings import EMBEDDER, EmbeddingsBody, embeddings_body
from app.llm.simulated.faults import Fault, FaultPlan
from app.llm.simulated.json_instance import json_reply
from app.llm.simulated.likelihood import split_text
from app.llm.simulated.malformed import spoil
from app.llm.simulated.models import Continued, Prompted, SimulatedModels
from app.llm.simulated.profiles import BASE_MODELS, CHAT_MODELS, MODELS

_REMEMBERED = 65_536
"""Different requests whose arrivals are counted; the longest unseen is forgotten first."""
_JSON = ("content-type", "application/json")
_STREAM_HEADERS = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
)
_FIRST_SHARE = 0.4
"""Part of the latency that passes before a stream's first frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a carrier has to send.

    Attributes:
        delay: seconds until the status.
        frames: the body, in the pieces to send.
        frame_delay: seconds between two pieces.
        lost: whether the connection breaks: after the frames, or without any response where the status is 0.
    """

    delay: float
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (_JSON,)
    frames: tuple[bytes, ...] = ()
    frame_delay: float = 0.0
    lost: bool = False


@dataclass(frozen=True, slots=True)
class _Arrival:
    request: int
    occurrence: int


class SimulatedBackend:
    """All of an OpenAI-compatible server but the carrying."""

    def __init__(self, settings: SimulatedSettings) -> None:
        self._settings = settings
        self._models = SimulatedModels(settings)
        self._faults = FaultPlan(settings.faults, settings.seed)
        self._arrivals: OrderedDict[int, int] = OrderedDict()

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        """Answer one request. ``path`` may have any prefix before ``/chat/completions`` and the others."""
        arrival = self._note_arrival(digest(method, path, body.decode("utf-8", "replace")))
        delay = self._latency(arrival)
        fault = self._faults.befalling(arrival.request, arrival.occurrence)
        if fault is not None:
            return _faulty(
                fault, delay, generator(self._settings.seed, "fault", arrival.request, arrival.occurrence)
            )
        route = path.rstrip("/")
        if method == "GET":
            return _list_models(route, delay)
        if method == "POST" and route.endswith("/completions"):
            shape = wire.ChatBody if route.endswith("/chat/completions") else wire.TextBody
            return self._complete(body, shape, arrival, delay)
        if method == "POST" and route.endswith("/embeddings"):
            return _embed(body, delay)
        return _refuse(404, f"there is no {method} {path}", None, delay)

    def _note_arrival(self, request: int) -> _Arrival:
        occurrence = self._arrivals.pop(request, 0)
        self._arrivals[request] = occurrence + 1
        if len(self._arrivals) > _REMEMBERED:
            self._arrivals.popitem(last=False)
        return _Arrival(request, occurrence)

    def _latency(self, arrival: _Arrival) -> float:
        spread = 2 * share(self._settings.seed, "latency", arrival.request, arrival.occurrence) - 1
        return self._settings.latency_ms / 1000 * (1 + self._settings.latency_jitter * spread)

    def _complete(
        self, raw: bytes, shape: type[wire.ChatBody] | type[wire.TextBody], arrival: _Arrival, delay: float
    ) -> Reply:
        try:
            body = shape.model_validate_json(raw)
        except ValidationError as error:
            return _refuse_invalid(error, delay)
        chat = isinstance(body, wire.ChatBody)
        if body.model not in (CHAT_MODELS if chat else MODELS):
            return _unknown_model(body.model, chat=chat, delay=delay)
        choices = tuple(self._choice(body, arrival, index) for index in range(body.n or 1))
        envelope = wire.Envelope(
            id=f"{'chatcmpl' if chat else 'cmpl'}-{digest(arrival.request, arrival.occurrence):016x}",
            model=body.model,
            chat=chat,
            prompt_tokens=wire.count_prompt_tokens(body),
        )
        if not body.stream:
            prompt = None if body.prompt_logprobs is None else self._models.prompt_logprobs(_continued(body))
            return Reply(delay=delay, frames=(wire.completion_body(envelope, choices, prompt),))
        if body.prompt_logprobs is not None:
            return _refuse(400, "prompt_logprobs is not possible in a stream", None, delay, "prompt_logprobs")
        usage = body.stream_options is not None and body.stream_options.include_usage
        return self._streamed(wire.stream_frames(envelope, choices, usage=usage), arrival, delay)

    def _choice(self, body: wire.ChatBody | wire.TextBody, arrival: _Arrival, index: int) -> wire.Choice:
        prompted = _prompted(body)
        draw = Draw(
            temperature=1.0 if body.temperature is None else body.temperature,
            # Without a seed a repeated request draws anew, as it would from a real server.
            seed=arrival.occurrence if body.seed is None else body.seed,
            index=index,
        )
        text = self._models.reply(prompted, draw)
        wanted = body.response_format if isinstance(body, wire.ChatBody) else None
        if wanted is not None and wanted.type != "text" and not self._models.is_critic_task(prompted):
            text = json_reply(_schema_of(wanted), text)
        if self._faults.spoils_reply(arrival.request, arrival.occurrence, index):
            text = spoil(
                text, generator(self._settings.seed, "spoil", arrival.request, arrival.occurrence, index)
            )
        choice = wire.finish(text, body.stops, body.token_limit)
        if isinstance(body, wire.ChatBody) and body.logprobs:
            told = self._models.logprobs(prompted, choice.text, body.top_logprobs or 0)
            return dataclasses.replace(choice, logprobs=told)
        return choice

    def _streamed(self, frames: tuple[bytes, ...], arrival: _Arrival, delay: float) -> Reply:
        pause = delay * (1 - _FIRST_SHARE) / len(frames)
        lost = False
        if self._faults.breaks_stream(arrival.request, arrival.occurrence):
            rng = generator(self._settings.seed, "break", arrival.request, arrival.occurrence)
            frames = frames[: rng.randint(1, len(frames) - 1)]
            lost = rng.choice((False, True))
        return Reply(
            delay=delay * _FIRST_SHARE, headers=_STREAM_HEADERS, frames=frames, frame_delay=pause, lost=lost
        )


def _embed(raw: bytes, delay: float) -> Reply:
    try:
        body = EmbeddingsBody.model_validate_json(raw)
    except ValidationError as error:
        return _refuse_invalid(error, delay)
    if body.model != EMBEDDER:
        message = f"there is no simulated embedding model {body.model!r}: take {EMBEDDER}"
        return _refuse(404, message, "model_not_found", delay, "model")
    return Reply(delay=delay, frames=(embeddings_body(body),))


def _prompted(body: wire.ChatBody | wire.TextBody) -> Prompted:
    if isinstance(body, wire.TextBody):
        return Prompted(model=body.model, prompt=body.prompt)
    return Prompted(model=body.model, prompt=tuple(wire.as_message(message) for message in body.messages))


def _continued(body: wire.ChatBody | wire.TextBody) -> Continued:
    """What was sent as what was asked and the answer that the model is to go on with, which may be empty."""
    if isinstance(body, wire.TextBody):
        asked, answer = split_text(body.prompt)
        return Continued(asked=Prompted(model=body.model, prompt=asked), answer=answer)
    prompted = _prompted(body)
    if not body.continue_final_message:
        return Continued(asked=prompted, answer="")
    before = Prompted(model=body.model, prompt=prompted.prompt[:-1])
    return Continued(asked=before, answer=body.messages[-1].text)


def _schema_of(wanted: wire.ResponseFormat) -> dict[str, object] | None:
    schema = (wanted.json_schema or {}).get("schema")
    return schema if isinstance(schema, dict) else None


def _list_models(route: str, delay: float) -> Reply:
    if route.endswith("/models"):
        return Reply(delay=delay, frames=(wire.models_body((*MODELS, EMBEDDER)),))
    name = route.rpartition("/models/")[2]
    if name in (*MODELS, EMBEDDER):
        return Reply(delay=delay, frames=(orjson.dumps(wire.model_card(name)),))
    return _unknown_model(name, chat=True, delay=delay)


def _unknown_model(name: str, *, chat: bool, delay: float) -> Reply:
    if chat and name in BASE_MODELS:
        message = f"the simulated model {name!r} has no chat template: use /completions"
        return _refuse(404, message, "model_not_found", delay, "model")
    known = ", ".join(MODELS)
    return _refuse(
        404, f"there is no simulated model {name!r}: take one of {known}", "model_not_found", delay, "model"
    )


def _refuse_invalid(error: ValidationError, delay: float) -> Reply:
    first = error.errors(include_url=False, include_input=False)[0]
    param = ".".join(str(part) for part in first["loc"]) or None
    return _refuse(400, f"{param or 'body'}: {first['msg']}", None, delay, param)


def _refuse(status: int, message: str, code: str | None, delay: float, param: str | None = None) -> Reply:
    body = wire.error_body(message, "invalid_request_error", code, param)
    return Reply(delay=delay, status=status, frames=(body,))


def _faulty(fault: Fault, delay: float, rng: random.Random) -> Reply:
    if fault is Fault.CONNECTION_LOST:
        return Reply(delay=delay, status=0, lost=True)
    if fault is Fault.RATE_LIMITED:
        body = wire.error_body("simulated: too many requests", "rate_limit_error", "rate_limit_exceeded")
        return Reply(delay=delay, status=429, headers=(_JSON, ("retry-after", "0")), frames=(body,))
    if fault is Fault.SERVER_ERROR:
        status = rng.choice((500, 502, 503, 504))
        if rng.choice((False, True)):
            page = b"<html><body><h1>simulated: bad gateway</h1></body></html>"
            return Reply(delay=delay, status=status, headers=(("content-type", "text/html"),), frames=(page,))
        body = wire.error_body("simulated: the server has failed", "server_error", None)
        return Reply(delay=delay, status=status, frames=(body,))
    bodies = (
        b"",
        b'{"id": "chatcmpl-cut", "choices": [{"mess',
        b"<html>simulated</html>",
        b'{"object": "x"}',
        b"[]",
    )
    return Reply(delay=delay, frames=(rng.choice(bodies),))
