"""Whether the judges of a job give what its way of judging reads."""

from app.jobs.reward_spec import Judging, RewardSpec
from app.llm.registry import ModelRegistry
from app.settings import ROLE_JUDGE
from optimizer.errors import InvalidInputError
from optimizer.types import ModelRole
from rewards.label_judge import LEAST_ALTERNATIVES


async def check_judging(rewards: RewardSpec | None, models: ModelRegistry, *, gate_judge: bool) -> None:
    """See to it that each judge of a job gives log-probabilities, where the job reads them.

    Judges never asked before are probed.

    Raises:
        InvalidInputError: one gives none, or too few of them.
        ModelError: one that had to be probed did not answer.
    """
    if rewards is None or rewards.judging is Judging.TEXT or not rewards.is_judged:
        return
    asked = [(ModelRole.JUDGE, None if name == ROLE_JUDGE else name) for name in rewards.judges]
    asked = asked or [(ModelRole.JUDGE, None)]
    if gate_judge:
        asked.append((ModelRole.GATE_JUDGE, None))
    for role, judge in asked:
        can = await models.capabilities(role, judge=judge)
        if not can.logprobs or can.top_logprobs < LEAST_ALTERNATIVES:
            given = can.top_logprobs if can.logprobs else 0
            raise InvalidInputError(
                f"the judge {models.model_name(role, judge=judge)} gives {given} log-probabilities with a "
                f'token, and {LEAST_ALTERNATIVES} are needed: leave "judging" out, or name a judge whose '
                "backend gives them",
                param="rewards.judging",
            )
