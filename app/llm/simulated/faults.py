"""Which fault befalls a request: decided by the seed, the request and how often it has come before."""

from enum import StrEnum

from app.backend_settings import SimulatedFaults
from app.llm.simulated.draws import share


class Fault(StrEnum):
    """What can befall a request before its model is asked."""

    CONNECTION_LOST = "connection_lost"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    MALFORMED_RESPONSE = "malformed_response"


class FaultPlan:
    """The faults of one backend."""

    def __init__(self, faults: SimulatedFaults, seed: int) -> None:
        self._faults = faults
        self._seed = seed
        self._shares = (
            (Fault.CONNECTION_LOST, faults.connection_lost),
            (Fault.RATE_LIMITED, faults.rate_limited),
            (Fault.SERVER_ERROR, faults.server_error),
            (Fault.MALFORMED_RESPONSE, faults.malformed_response),
        )

    def befalling(self, request: int, occurrence: int) -> Fault | None:
        """The fault of the ``occurrence``-th (from 0) arrival of the request with this digest.

        Each fault is drawn with its own probability; the first in the order above that comes up wins.
        """
        for fault, probability in self._shares:
            if share(self._seed, fault, request, occurrence) < probability:
                return fault
        return None

    def spoils_reply(self, request: int, occurrence: int, index: int) -> bool:
        """Whether completion ``index`` is not what was asked for."""
        probability = self._faults.malformed_reply
        return share(self._seed, "malformed_reply", request, occurrence, index) < probability

    def breaks_stream(self, request: int, occurrence: int) -> bool:
        """Whether a streamed response ends before its end."""
        return share(self._seed, "broken_stream", request, occurrence) < self._faults.broken_stream
