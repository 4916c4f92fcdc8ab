"""What an instruction does, as a reader of it would say: which criteria it raises, and which it lowers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Bearing:
    """What one instruction is about; an instruction that says nothing in particular raises nothing.

    Attributes:
        raises: criteria that answers should do better on under it.
        lowers: criteria that it works against.
    """

    raises: frozenset[str] = frozenset()
    lowers: frozenset[str] = frozenset()


class InstructionReader(Protocol):
    """Reads instructions; nothing is tried."""

    async def read(self, instructions: Sequence[str], criteria: Sequence[str]) -> Sequence[Bearing | None]:
        """What each of ``instructions`` does, in terms of ``criteria``, in one request.

        Returns:
            A bearing for each instruction in order; None where the reply says nothing of it.

        Raises:
            ModelError: the model cannot be reached.
            BudgetExceededError: no call left.
        """
        ...
