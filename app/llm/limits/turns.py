"""Whose turn it is: jobs share what there is, and each job's requests leave in an order of their own."""

import asyncio
from collections.abc import Iterator

from app.llm.limits.sweep import Beginning, Sweep


class Ticket:
    """A request that waits, runs, or is over.

    Attributes:
        job: who asks.
        tokens: the most that it can use.
        beginning: what it begins with; see ``Sweep``.
        number: its number in the line.
        admitted: done when it may start.
    """

    __slots__ = ("admitted", "beginning", "job", "number", "tokens")

    def __init__(self, job: str, tokens: int, beginning: Beginning) -> None:
        self.job = job
        self.tokens = tokens
        self.beginning = beginning
        self.number = 0
        self.admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Line:
    """The requests of one job.

    Attributes:
        running: those under way.
        waiting: those that wait, next first.
        turn: when one of them was last admitted; a larger number is later.
    """

    __slots__ = ("job", "running", "turn", "waiting")

    def __init__(self, job: str) -> None:
        self.job = job
        self.running = 0
        self.waiting: Sweep[Ticket] = Sweep()
        self.turn = 0

    def head(self) -> Ticket | None:
        """Who is next and still waits."""
        while (ticket := self.waiting.head()) is not None and ticket.admitted.done():
            self.waiting.leave(ticket.beginning, ticket.number, served=False)  # given up, not yet told us so
        return ticket


class Turns:
    """The lines of all jobs at one backend.

    Next is the job with the fewest requests under way, and among equals the one that was served least
    recently: so a job with two requests gets its turn beside one with a thousand.
    """

    def __init__(self) -> None:
        """Nobody is here."""
        self._lines: dict[str, Line] = {}
        self._turn = 0
        self.running = 0

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(
            1 for line in self._lines.values() for ticket in line.waiting if not ticket.admitted.done()
        )

    def __iter__(self) -> Iterator[Line]:
        """The lines of jobs that have requests."""
        return iter(tuple(self._lines.values()))

    def join(self, job: str, tokens: int, beginning: Beginning = ()) -> Ticket:
        """A request of ``job`` that waits from now on."""
        ticket = Ticket(job, tokens, beginning)
        ticket.number = self._lines.setdefault(job, Line(job)).waiting.join(beginning, ticket)
        return ticket

    def give_up(self, ticket: Ticket) -> None:
        """A request that waited is not wanted any more."""
        line = self._lines.get(ticket.job)
        if line is None:
            return  # its line was forgotten when it was found to have given up
        line.waiting.leave(ticket.beginning, ticket.number, served=False)
        self._forget_if_empty(line)

    def next(self, job: str | None = None) -> Ticket | None:
        """Whose turn it is, of all jobs or of ``job``; None where nobody waits."""
        if job is not None:
            line = self._lines.get(job)
            return None if line is None else line.head()
        lines = [line for line in self._lines.values() if line.head() is not None]
        return min(lines, key=lambda line: (line.running, line.turn)).head() if lines else None

    def start(self, ticket: Ticket) -> None:
        """Admit ``ticket``, which ``next`` has given."""
        line = self._lines[ticket.job]
        line.waiting.leave(ticket.beginning, ticket.number, served=True)
        self._turn += 1
        line.turn = self._turn
        line.running += 1
        self.running += 1
        ticket.admitted.set_result(None)

    def end(self, ticket: Ticket) -> None:
        """A request is over."""
        line = self._lines[ticket.job]
        line.running -= 1
        self.running -= 1
        self._forget_if_empty(line)

    def _forget_if_empty(self, line: Line) -> None:
        if not line.running and not line.waiting:
            del self._lines[line.job]
