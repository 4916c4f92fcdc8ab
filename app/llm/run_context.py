"""What all models of one run share."""

from app.llm.builds import Builds
from app.llm.fresh_draws import Draws
from app.llm.ledger import CallLedger, CallRecords
from app.llm.metering import Meter
from app.llm.permitted import Permit, always
from app.llm.replay import Replay
from optimizer.budget import Budget


class RunContext:
    """What all models of one run share.

    Attributes:
        scope: its name, which no other run has.
        budget: what the run may use.
        meter: what it has used.
        seed: the run's seed.
        ledger: its call ledger, or None for a run that keeps none.
        replay: the record that all its roles answer from, or None for a run that asks models.
        serves: whether a user waits for it: then nothing queues behind searches, nor is repeated.
        permit: asked before each request.
        draws: which draw it is at.
        builds: who has answered it.
    """

    def __init__(
        self,
        *,
        scope: str,
        budget: Budget,
        meter: Meter,
        seed: int,
        records: CallRecords | None = None,
        replay: Replay | None = None,
    ) -> None:
        """The context of the run called ``scope``; ``records`` are the rows of its ledger, if it has one."""
        self.permit: Permit = always
        self.scope = scope
        self.serves = False
        self.draws = Draws()
        self.builds = Builds()
        self.replay = replay
        self.budget = budget
        self.meter = meter
        self.seed = seed
        self.ledger = (
            None if records is None else CallLedger(records, scope=scope, budget=budget, meter=meter)
        )
