"""Keeping one process in step with the others at a backend, and on its feet where they cannot be reached."""

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from app.llm.limits.exchange import Exchange, ExchangeUnavailableError, Reply, Report

_LOGGER = logging.getLogger(__name__)
_POLLS_PER_BEAT = 32
"""While requests wait: what another process gives back is found within a thirty-second of a beat."""
_GOODBYE_SECONDS = 1.0
_CANCEL_SECONDS = 0.1


class Participant(Protocol):
    """What is kept in step."""

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        ...

    def report(self) -> Report:
        """What is going on, and what has happened since the last report."""
        ...

    def obey(self, reply: Reply, report: Report) -> None:
        """Start what ``reply``, the answer to ``report``, grants."""
        ...

    def fall_back(self) -> None:
        """Go on alone, with this process's share."""
        ...


class Sharing:
    """Tells and hears in the background, as soon as there is something to tell and once every beat.

    Several requests that come or end together are told together. Where the exchange is away, the process goes
    on with its share: the ceiling and the rates divided by how many processes there were when it last heard.
    """

    def __init__(
        self, exchange: Exchange, participant: Participant, *, name: str, beat_seconds: float
    ) -> None:
        """In step through ``exchange``; ``name`` is the backend's, for the log. Close it with ``aclose``."""
        self._exchange = exchange
        self._participant = participant
        self._name = name
        self._beat = beat_seconds
        self._woken = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._processes = 0
        self._reachable = True
        self.decides = True

    @property
    def share(self) -> float:
        """How much of everything is this process's where it is alone, above 0 and at most 1."""
        return 1 / max(1, self._processes)

    def wake(self) -> None:
        """There is something to tell."""
        self._woken.set()
        if self._loop is None:
            self._loop = asyncio.create_task(self._run(), name=f"limits of {self._name}")

    async def aclose(self) -> None:
        """Give everything back and fall silent."""
        if self._loop is None:
            return
        while not self._loop.done():
            self._loop.cancel()  # again and again: redis-py can lose one while it looks at a socket
            await asyncio.wait([self._loop], timeout=_CANCEL_SECONDS)
        with suppress(ExchangeUnavailableError, TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._exchange.tell(Report())

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            pause = await self._tell()
            if not self.decides or not self._processes:
                await asyncio.sleep(pause or self._beat)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _tell(self) -> float | None:
        """Tell once; seconds until the next time at the latest, None for when there is something to tell."""
        report = self._participant.report()
        alone = not self.decides
        if alone:  # others hear what runs here; nothing may be granted while it is handed out here, too
            report = report.without_wishes()
        reply = await self._answer(report)
        if reply is None or (reply.settling and self._processes):
            self.decides = False
            self._participant.fall_back()
            return self._beat if reply is None else self._beat / 4
        if reply.settling:
            return self._beat / 4
        self.decides = True
        self._processes = reply.processes
        self._participant.obey(reply, report)
        if self._participant.waiting:
            shortest = 0.0 if alone else self._beat / _POLLS_PER_BEAT
            return min(max(reply.wait_seconds or 0.0, shortest), self._beat)
        return None if report.idle else self._beat

    async def _answer(self, report: Report) -> Reply | None:
        """What the others say; None where they cannot be reached, which is logged once."""
        try:
            reply = await self._exchange.tell(report)
        except ExchangeUnavailableError as error:
            if self._reachable:
                told = "limits of backend %s: %s; this process goes on with its own share of them"
                _LOGGER.warning(told, self._name, error)
            self._reachable = False
            return None
        except Exception:
            # requests that wait for an answer which never comes would look like a slow backend
            _LOGGER.exception("limits of backend %s: a bug in sharing them", self._name)
            return None
        if not self._reachable:
            _LOGGER.warning("limits of backend %s: they are shared again", self._name)
        self._reachable = True
        return reply
