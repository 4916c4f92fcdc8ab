"""One backend's places: who may send a request now, in this process or among all that share the backend."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Self

from app.llm.limits.ceiling import AdaptiveCeiling
from app.llm.limits.exchange import MOST_WANTED, Demand, Exchange, Reply, Report
from app.llm.limits.rates import RateLimit, Rates
from app.llm.limits.sharing import Sharing
from app.llm.limits.sweep import Beginning
from app.llm.limits.turns import Line, Ticket, Turns
from optimizer.errors import RateLimitedError

NO_RATES = Rates()
BEAT_SECONDS = 1.0


class Place:
    """A request's place at a backend.

    Attributes:
        tokens: the most that it can use until it is known, then what it has used.
        unused: no request was sent after all.
    """

    __slots__ = ("tokens", "unused")

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.unused = False


class Serving(Place):
    """The place that a user's request has ``with`` it; see ``BackendLimiter.serve``."""

    __slots__ = ("_begin", "_end")

    def __init__(self, begin: Callable[[], None], end: Callable[[int], None]) -> None:
        super().__init__(0)
        self._begin = begin
        self._end = end

    def __enter__(self) -> Self:
        """Take the place."""
        self._begin()
        return self

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Give it back."""
        self._end(self.tokens)


class Watching:
    """``with`` it a request is sent to a backend; see ``BackendLimiter.watch``."""

    __slots__ = ("_end", "_window")

    def __init__(self, window: int, end: Callable[[int, BaseException | None], None]) -> None:
        self._window = window
        self._end = end

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Say how it has ended."""
        self._end(self._window, exc)


@dataclass(slots=True)
class _News:
    """What has happened since the last report."""

    answered: int = 0
    limited_in: int | None = None
    requests: int = 0
    tokens: int = 0


class BackendLimiter:
    """Hands out places: fair between jobs, fewer after a 429, and no more in a minute than ``rates``.

    Requests of users ask for no place: they take theirs at once, and the jobs get what is left. With an
    ``exchange`` all this holds for all processes together that use it.
    """

    def __init__(
        self,
        maximum: int,
        *,
        rates: Rates = NO_RATES,
        exchange: Exchange | None = None,
        name: str = "",
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        """The places of one backend. With an ``exchange``, close it with ``aclose``.

        Args:
            maximum: most requests at once, at least 1.
            rates: most requests and tokens in a minute.
            exchange: where other processes are met; None for a backend that this process has for itself.
            name: the backend's, for the log.
            beat_seconds: how often the others are told that this process is alive.
        """
        self._ceiling = AdaptiveCeiling(maximum)
        self._rates = RateLimit(rates)
        self.counts_tokens = rates.tokens_per_minute is not None
        self._turns = Turns()
        self._serving = 0
        self._news = _News()
        self._timer: asyncio.TimerHandle | None = None
        self._sharing = (
            None if exchange is None else Sharing(exchange, self, name=name, beat_seconds=beat_seconds)
        )

    @property
    def limit(self) -> int:
        """Requests allowed at once right now, 1 to the maximum."""
        return self._ceiling.height

    @property
    def in_flight(self) -> int:
        """Requests of jobs under way in this process."""
        return self._turns.running

    @property
    def serving(self) -> int:
        """Requests of users under way in this process."""
        return self._serving

    @property
    def waiting(self) -> int:
        """Requests that wait for a place in this process."""
        return self._turns.waiting

    @asynccontextmanager
    async def slot(self, job: str = "", tokens: int = 0) -> AsyncIterator[Place]:
        """As ``hold``, for exactly one request: ``watch`` included."""
        async with self.hold(job, tokens) as place:
            with self.watch():
                yield place

    @asynccontextmanager
    async def hold(self, job: str, tokens: int, *, beginning: Beginning = ()) -> AsyncIterator[Place]:
        """A place for a request of ``job`` that uses ``tokens`` at most; at the end it says what was used.

        Of a job's requests that wait, those with a common ``beginning`` leave one after the other.
        """
        ticket = await self._enter(job, tokens, beginning)
        place = Place(tokens)
        try:
            yield place
        finally:
            if place.unused:
                self._count(requests=-1, tokens=-tokens)
            else:
                self._count(requests=0, tokens=place.tokens - tokens)
            self._turns.end(ticket)
            self._pump()

    def serve(self) -> "Serving":
        """A place for a user's request, which waits for nobody; it counts what the place says at the end."""
        return Serving(self._begin_serving, self._end_serving)

    def watch(self) -> "Watching":
        """Adapt the ceiling to how a request ends."""
        return Watching(self._ceiling.window, self._watched)

    async def aclose(self) -> None:
        """Give everything back."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sharing is not None:
            await self._sharing.aclose()

    def report(self) -> Report:
        """What is going on, for the other processes; see ``Participant``."""
        news, self._news = self._news, _News()
        return Report(
            demands={line.job: _demand(line) for line in self._turns},
            serving=self._serving,
            answered=news.answered,
            limited_in=news.limited_in,
            requests=news.requests,
            tokens=news.tokens,
        )

    def obey(self, reply: Reply, report: Report) -> None:
        """Start what was granted, and give back what nobody here wants any more."""
        self._ceiling.adopt(reply.height, reply.window)
        for job, granted in reply.grants.items():
            for set_aside in report.demands[job].wanted[:granted]:
                ticket = self._turns.next(job)
                if ticket is None:
                    self._news.requests -= 1
                    self._news.tokens -= set_aside
                    continue
                self._start(ticket)
                self._news.tokens += ticket.tokens - set_aside

    def fall_back(self) -> None:
        """Hand out this process's share."""
        self._admit()

    def _begin_serving(self) -> None:
        self._serving += 1
        self._count(requests=1, tokens=0)
        self._tell()

    def _end_serving(self, tokens: int) -> None:
        self._serving -= 1
        self._count(requests=0, tokens=tokens)
        self._pump()

    def _watched(self, window: int, error: BaseException | None) -> None:
        if error is None:
            self._ceiling.rise()
            self._news.answered += 1
        elif isinstance(error, RateLimitedError) and self._ceiling.lower(window):
            self._news.limited_in = window

    async def _enter(self, job: str, tokens: int, beginning: Beginning) -> Ticket:
        ticket = self._turns.join(job, tokens, beginning)
        self._pump()
        try:
            await ticket.admitted
        except asyncio.CancelledError:
            if ticket.admitted.done() and not ticket.admitted.cancelled():
                self._count(requests=-1, tokens=-tokens)
                self._turns.end(ticket)  # the place came with the cancellation: pass it on
            else:
                self._turns.give_up(ticket)
            self._pump()
            raise
        return ticket

    def _pump(self) -> None:
        """Something has changed: let in whoever has a place now."""
        if self._sharing is not None and self._sharing.decides:
            self._sharing.wake()
        else:
            self._admit()

    def _tell(self) -> None:
        if self._sharing is not None:
            self._sharing.wake()

    def _admit(self) -> None:
        """Let in whom this process's share has room for."""
        height = self._ceiling.height if self._sharing is None else self._own_height(self._sharing.share)
        while self._turns.running + self._serving < height and (ticket := self._turns.next()) is not None:
            wait = self._rates.wait(ticket.tokens, now=_now(), share=self._share)
            if wait > 0:
                self._try_again_in(wait)
                return
            self._start(ticket)
            self._news.requests += 1
            self._news.tokens += ticket.tokens

    def _own_height(self, share: float) -> int:
        return max(1, int(self._ceiling.height * share))

    @property
    def _share(self) -> float:
        return 1.0 if self._sharing is None else self._sharing.share

    def _start(self, ticket: Ticket) -> None:
        self._rates.add(1, ticket.tokens, now=_now(), share=self._share)
        self._turns.start(ticket)

    def _count(self, *, requests: int, tokens: int) -> None:
        if not self._rates.is_none:
            self._rates.add(requests, tokens, now=_now(), share=self._share)
        self._news.requests += requests
        self._news.tokens += tokens

    def _try_again_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._pump)


def _demand(line: Line) -> Demand:
    still = (ticket.tokens for ticket in line.waiting if not ticket.admitted.done())
    return Demand(running=line.running, wanted=tuple(islice(still, MOST_WANTED)))


def _now() -> float:
    return asyncio.get_running_loop().time()
