"""What a proposer is told when it is asked to raise certain criteria."""

from collections.abc import Mapping
from dataclasses import dataclass

from optimizer.types import Candidate, Evaluation


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierPrompt:
    """A prompt that was tried before, with its expected mean reward, 1..5."""

    system_prompt: str
    reward: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Brief:
    """The task of one request to the proposer.

    Attributes:
        parent: the prompt to improve.
        aims: the criteria to raise, the most promising first.
        means: expected score of the parent on each criterion, 1..5, from the whole history.
        answers: how many queries so far were judged on each criterion.
        failures: evaluations of several queries to learn from, the worst on the aims first.
        earlier: other prompts of the search with their rewards, best first.
    """

    parent: Candidate
    aims: tuple[str, ...]
    means: Mapping[str, float]
    answers: Mapping[str, int]
    failures: tuple[Evaluation, ...]
    earlier: tuple[EarlierPrompt, ...] = ()
