"""Charging the caller of an evaluation with what it has used, and telling how it ended."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.access.admission import Admission
from app.access.estimates import SizedRequest
from app.access.principal import Principal
from app.errors import answer_to
from app.llm.metering import Meter
from app.llm.prices import Price
from app.outcomes import Ending, Outcome
from app.resources import Resources
from optimizer.types import Usage

_NOTHING = Usage(prompt_tokens=0, completion_tokens=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request for an evaluation.

    Attributes:
        principal / request_id / endpoint: who asks, and what it is called.
        size: of its body, in bytes.
        headers: takes what the answer says about the caller's rates.
    """

    principal: Principal
    request_id: str
    endpoint: str
    size: int
    headers: dict[str, str]


class Charging:
    """One request past the limits of its caller.

    Attributes:
        asked: the request.
        meter: what its calls have used.
    """

    def __init__(self, resources: Resources, asked: Asked) -> None:
        """Nothing is charged yet."""
        self.asked = asked
        self.meter = Meter()
        self._resources = resources
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the request came."""
        return time.monotonic() - self._began

    async def admit(self, sized: SizedRequest, price: Price) -> Admission:
        """Let it in as if it were one request of that size.

        Raises:
            ApiError: 429, a rate or a quota of the key is exceeded.
        """
        admission = await self._resources.access.desk.admit(self.asked.principal, sized, price)
        self.asked.headers.update(admission.headers)
        return admission

    @asynccontextmanager
    async def settled(self, admission: Admission, *, model: str, name: str) -> AsyncIterator[None]:
        """What happens inside is charged at its end, however that comes about.

        Args:
            admission: as it was let in.
            model: what the caller calls the model.
            name: ``backend/model``.
        """
        ending: Ending = "client_left"
        error: BaseException | None = None
        try:
            yield
            ending = "answered"
        except Exception as failure:
            ending, error = "failed", failure
            raise
        finally:
            self._settle(admission, model, name, ending, error)

    def _settle(
        self, admission: Admission, model: str, name: str, ending: Ending, error: BaseException | None
    ) -> None:
        spend = self.meter.spend
        # each model has its own price, so that what was used is all beside the request, which is one
        charge = admission.settle(ending, _NOTHING, error=error, seen_tokens=0, beside=spend)
        backend, _, upstream = name.partition("/")
        told = answer_to(error) if isinstance(error, Exception) else None
        self._resources.outcomes.announce(
            Outcome(
                request_id=self.asked.request_id,
                caller=self.asked.principal.name,
                endpoint=self.asked.endpoint,
                model=model,
                backend=backend,
                upstream_model=upstream,
                version_id=None,
                streamed=False,
                ending=ending,
                error_code=None if told is None else told.code,
                usage=charge.usage,
                key_number=admission.key_number,
                counted=charge.usage,
                estimated=charge.estimated,
                micros=charge.micros,
                finish_reason=None,
                first_seconds=None,
                seconds=self.seconds,
                attempts=spend.calls,
            )
        )
