"""Sending a prepared call and giving its answer to the caller, whole or streamed."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from app.access.admission import Admission
from app.access.estimates import SizedRequest, tokens_in
from app.access.principal import Principal
from app.chat.calls import PreparedCall
from app.chat.disconnects import ClientLeftError, while_client_listens
from app.chat.sending import CallRecord, Sending
from app.client_watch import client_of
from app.errors import answer_to
from app.llm.prices import Price
from app.outcomes import Ending, Outcome, OutcomeFeed
from app.telemetry.current import timed
from app.telemetry.timing import Part
from optimizer.errors import ModelError
from optimizer.quick_values import quick
from optimizer.types import Spend, Usage

_NOTHING = Usage(prompt_tokens=0, completion_tokens=0)
_NOTHING_BESIDE = Spend()
CLIENT_LEFT = 499  # nobody reads it: the connection is closed


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A request as it came in; ``at`` in monotonic seconds."""

    request_id: str
    principal: Principal
    endpoint: str
    at: float

    @classmethod
    def of(cls, request: Request, principal: Principal) -> "Arrival":
        """The arrival of ``request``, now."""
        return cls(
            request_id=request.scope["state"]["request_id"],
            principal=principal,
            endpoint=request.scope["path"],  # request.url would be put together first
            at=time.monotonic(),
        )


class AnswerRecord(CallRecord):
    """Notes how one answer goes, and announces its outcome once."""

    def __init__(
        self,
        call: PreparedCall,
        arrival: Arrival,
        admission: Admission,
        feed: OutcomeFeed,
        price_of: Callable[[str], Price],
    ) -> None:
        """The record of an answer.

        Args:
            call: the first one that is made for it.
            arrival: the request.
            admission: has let it in.
            feed: hears how it ends.
            price_of: prices of backends, by name.
        """
        self._call = call
        self._arrival = arrival
        self._admission = admission
        self._feed = feed
        self._price_of = price_of
        self._first: float | None = None
        self._seen_tokens = 0
        self._counted: Usage | None = None
        self._was_kept = False
        self._beside = _NOTHING_BESIDE
        self._ended = False

    def seen(self, tokens: int) -> None:
        """About so many more tokens of the answer have come."""
        if self._call.best_of is None and self._counted is self._call.reader.usage:
            self._seen_tokens += tokens  # nearly always, and there are very many frames
        else:
            self._seen_tokens = self._uncounted() + tokens

    def _uncounted(self) -> int:
        """The tokens seen since the backend has last said how many there are: some say so all the time."""
        if self._counted is not self._call.reader.usage:
            self._counted, self._seen_tokens = self._call.reader.usage, 0
        drafts = self._call.best_of
        if drafts is not None and self._counted is None:
            return max(self._seen_tokens, drafts.tokens)
        return self._seen_tokens

    def first_frame_sent(self) -> None:
        """The answer has begun."""
        self._first = time.monotonic()

    @override
    async def moved(self, call: PreparedCall, size: int, error: ModelError) -> None:
        request = SizedRequest(body=call.body, size=size, generates=call.path != "embeddings")
        await self._admission.again(
            request,
            self._price_of(call.backend),
            usage=self._call.reader.usage,
            error=error,
            seen_tokens=self._uncounted(),
        )
        if self._call.best_of is not None:
            self._beside += self._call.best_of.beside
        self._call, self._counted, self._seen_tokens = call, None, 0

    @override
    def remembered(self, call: PreparedCall) -> None:
        self._call, self._was_kept = call, True

    def end(self, ending: Ending, error: BaseException | None = None) -> None:
        """Settle what the request has used, and announce its end, of which the first one counts."""
        if self._ended:
            return
        self._ended = True
        call, arrival = self._call, self._arrival
        call.abandon()
        told = answer_to(error) if isinstance(error, Exception) else None
        usage = call.reader.usage
        charge = self._admission.settle(
            ending,
            _NOTHING if self._was_kept else usage,
            error=error,
            seen_tokens=0 if self._was_kept else self._uncounted(),
            beside=self._beside if call.best_of is None else self._beside + call.best_of.beside,
        )
        self._feed.announce(
            Outcome(
                request_id=arrival.request_id,
                caller=arrival.principal.name,
                endpoint=arrival.endpoint,
                model=call.model,
                backend=call.backend,
                upstream_model=call.reader.told_model or call.upstream_model,
                version_id=call.version_id,
                streamed=call.streamed,
                ending=ending,
                error_code=None if told is None else told.code,
                usage=usage,
                key_number=self._admission.key_number,
                counted=charge.usage,
                estimated=charge.estimated,
                micros=charge.micros,
                finish_reason=call.reader.finish_reason,
                first_seconds=None if self._first is None else self._first - arrival.at,
                seconds=time.monotonic() - arrival.at,
                ticket=call.ticket,
                attempts=self._attempts(),
                was_kept=self._was_kept,
            )
        )

    def _attempts(self) -> int:
        if self._was_kept:
            return 0
        return 1 if self._call.detours is None else self._call.detours.attempts

    def __enter__(self) -> None:
        """The answer is given inside; its record is kept however that ends."""

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """It has ended."""
        if exc is None:
            self.end("answered")
        elif isinstance(exc, ClientLeftError):
            self.end("client_left")
        else:
            self.end("failed", exc)


async def whole_answer(request: Request, sending: Sending, record: AnswerRecord) -> Response:
    """The answer to a request whose client may leave meanwhile.

    Raises:
        ModelError: there is none.
    """
    try:
        with record:
            return await while_client_listens(
                request.receive, _asked(sending, record), client_of(request.scope)
            )
    except ClientLeftError:
        return Response(status_code=CLIENT_LEFT)


async def _asked(sending: Sending, record: AnswerRecord) -> Response:
    await sending.begin()
    while True:
        call = sending.call
        try:
            with timed(Part.UPSTREAM):
                response = await call.upstream.send(sending.content, call.path)
            record.seen(tokens_in(len(response.body)))
            answer = call.reader.whole(response.body)
        except ModelError as error:
            await sending.go_on(error)
            continue
        sending.answered()
        sending.keep(response.body)
        return _JsonAnswer(answer, call.headers())


class _JsonAnswer(Response):
    """The framework's answer with headers that are written down as they are: it looks through them twice."""

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [
            *[(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]
