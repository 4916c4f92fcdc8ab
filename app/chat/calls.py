"""A call that is ready to be sent: whom to, what, and how its answer is read."""

import dataclasses
from dataclasses import dataclass
from typing import Protocol

import orjson

from app.chat.answers import Reader
from app.chat.drafts import BestOf
from app.chat.headers import answer_headers
from app.errors import invalid_request
from app.llm.passthrough import Upstream
from app.llm.wire import Path
from app.outcomes import Ticket
from optimizer.errors import ModelError
from optimizer.quick_values import quick
from optimizer.types import JsonObject


class Detours(Protocol):
    """Where else a request can go, as long as nothing of an answer was sent to its caller.

    Attributes:
        attempts: calls that were made for it, the one under way included.
    """

    @property
    def attempts(self) -> int: ...  # noqa: D102 - see above

    def headers(self) -> dict[str, str]:
        """What its answer says about its way."""
        ...

    async def after(self, error: ModelError) -> "PreparedCall | None":
        """The call that follows the one which ended in ``error``; None where none does."""
        ...

    def answered(self) -> None:
        """The call under way has an answer, or the beginning of one."""
        ...

    def broke(self, error: ModelError) -> None:
        """An answer that had begun has ended in ``error``."""
        ...

    def close(self) -> None:
        """The request is over, however that came."""
        ...


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedCall:
    """A call that is ready to be sent; nothing of ours is held open for it.

    Attributes:
        upstream: whom to send it to.
        path / body: what to send.
        reader: reads the answer.
        model / backend / upstream_model: what the caller asked for, and the configured names of who is asked.
        streamed: whether the caller wants a stream.
        version_id: the prompt version that aligns it, or None.
        found_by: what found the examples that are shown; None where there are none.
        ticket: what is known of its answer; None where that has no id of ours.
        detours: where else the request can go; None where there is nowhere.
        is_fallback: whether another model answers than those that usually do.
        best_of: gives the best of several drafts; None where there is one.
    """

    upstream: Upstream
    path: Path
    body: JsonObject
    reader: Reader
    model: str
    backend: str
    upstream_model: str
    streamed: bool = False
    version_id: str | None = None
    found_by: str | None = None
    ticket: Ticket | None = None
    detours: Detours | None = None
    is_fallback: bool = False
    best_of: BestOf | None = None

    def content(self) -> bytes:
        """The body as it is sent.

        Raises:
            ApiError: 400, it cannot be sent, such as half a character in a prompt version.
        """
        return sendable(self.body)

    def abandon(self) -> None:
        """It is not made after all."""
        if self.detours is not None:
            self.detours.close()

    def answered_by(self, upstream: Upstream, *, backend: str, upstream_model: str) -> "PreparedCall":
        """The same request, answered by ``upstream`` as somebody has answered before."""
        self.abandon()
        return dataclasses.replace(
            self,
            upstream=upstream,
            backend=backend,
            upstream_model=upstream_model,
            detours=None,
            best_of=None,
        )

    def headers(self) -> dict[str, str]:
        """The answer's headers; once some of it was read they name the model that the backend reports."""
        told = self.reader.told_model or self.upstream_model
        drawn = None if self.ticket is None else self.ticket.drawn
        headers = answer_headers(
            upstream_model=told,
            version_id=self.version_id,
            found_by=self.found_by,
            arm=None if drawn is None else drawn.arm,
        )
        return headers if self.best_of is None else headers | self.best_of.headers()


def sendable(body: JsonObject) -> bytes:
    """``body`` as it is sent.

    Raises:
        ApiError: 400, it cannot be sent, such as half a character in a prompt version.
    """
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise invalid_request(f"the request cannot be sent to a model: {error}") from None
