"""How served requests end: announced once each, to whoever counts, bills or reports them."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from optimizer.quick_values import quick
from optimizer.types import Usage
from store.records.releases import DrawnArm

_LOGGER = logging.getLogger(__name__)

Ending: TypeAlias = Literal["answered", "failed", "client_left"]
SHADOW_ENDPOINT: Final = "shadow"
"""Where copies come from: requests that nobody made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShadowCopy:
    """A copy of a request for another version, whose answer nobody gets.

    Attributes:
        send: sends it and says how it ended.
        most: copies of its model that may be under way at a time.
    """

    send: Callable[[], Awaitable["Outcome"]]
    most: int


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """What is known of an answer before it is there.

    Attributes:
        token: what its id is made of.
        drawn: the arm that a release has chosen for it; None where none did.
        copy: what is to be sent to another version, once it is answered.
    """

    token: bytes
    drawn: DrawnArm | None = None
    copy: ShadowCopy | None = None


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one request for a model ended.

    Attributes:
        request_id / caller: as in the answer's header; the principal's name.
        endpoint: path of the endpoint that was asked, such as ``/v1/chat/completions``.
        model / backend / upstream_model: what the caller asked for, and who was asked.
        version_id: the prompt version that aligned it, or None.
        streamed: whether the answer was a stream.
        ending: ``answered`` to its end; ``failed``, before or in the answer; or the client left.
        error_code: of a failure, as the client was told.
        usage: as the backend has reported it so far; None where it has not.
        key_number: of the caller's stored key; 0 for none.
        counted: the tokens that count; those of ``usage``, or ``estimated`` ones.
        micros: what they cost, in millionths of the currency of the prices.
        finish_reason: why the first answer ended, as the backend has told so far.
        first_seconds: from the request to the answer's first frame; None where there was none.
        seconds: from the request to the end.
        attempts: requests to backends that were made for it.
        was_kept: whether it was answered with what was kept of an earlier answer.
        ticket: of an answer whose id is ours.
    """

    request_id: str
    caller: str
    endpoint: str
    model: str
    backend: str
    upstream_model: str
    version_id: str | None
    streamed: bool
    ending: Ending
    error_code: str | None
    usage: Usage | None
    key_number: int
    counted: Usage
    estimated: bool
    micros: int
    finish_reason: str | None
    first_seconds: float | None
    seconds: float
    attempts: int = 1
    was_kept: bool = False
    ticket: Ticket | None = None


OutcomeListener: TypeAlias = Callable[[Outcome], None]
"""Takes note at once and waits for nothing: it is called between a request's last byte and its end."""


class OutcomeFeed:
    """Passes outcomes on."""

    def __init__(self) -> None:
        """A feed to which nobody listens yet."""
        self._listeners: list[OutcomeListener] = []

    def listen(self, listener: OutcomeListener) -> None:
        """Tell ``listener`` of every outcome from now on."""
        self._listeners.append(listener)

    def announce(self, outcome: Outcome) -> None:
        """Tell everybody; a listener that fails is logged and hurts neither the request nor the others."""
        for listener in self._listeners:
            try:
                listener(outcome)
            except Exception:
                _LOGGER.exception("an outcome of %s was lost to a listener", outcome.request_id)
