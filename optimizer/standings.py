"""All candidates of a racing search with their evaluations, and what the surrogate makes of them."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean

from optimizer.bearing import Bearing
from optimizer.errors import DrpoError
from optimizer.estimate import CallRates
from optimizer.posterior import Posterior
from optimizer.prompt_lines import read_prompt
from optimizer.surrogate import Surrogate, SurrogatePrior
from optimizer.types import BeamPath, Candidate, Evaluation, Query, Scored, Step

SEED_ID = "c0"
_LOWEST = 1.0


class Standings:
    """Grows with each round; ``refit`` brings the posterior up to date."""

    def __init__(self, seed_prompt: Candidate, *, length_price: float) -> None:
        """The seed prompt alone; ``length_price`` is the reward that 100 words have to bring."""
        self.candidates: dict[str, Candidate] = {}
        self.evaluations: dict[str, dict[str, Evaluation]] = {}
        self.unscored = 0
        self.judged = 0
        self.answers: Counter[str] = Counter()
        self._texts: set[str] = set()
        self._surrogate = Surrogate(SurrogatePrior())
        self._posterior: Posterior | None = None
        self._length_price = length_price / 100
        self._asked: set[str] = set()
        self._called: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._failed: defaultdict[str, list[str]] = defaultdict(list)
        self.add(seed_prompt, None)

    @property
    def posterior(self) -> Posterior:
        """What is known since the last ``refit``.

        Raises:
            DrpoError: nothing has been scored yet.
        """
        if self._posterior is None:
            raise DrpoError("nothing has been scored yet")
        return self._posterior

    @property
    def is_fitted(self) -> bool:
        """Whether there is a posterior."""
        return self._posterior is not None

    def add(self, candidate: Candidate, aims: Iterable[str] | None) -> bool:
        """Take ``candidate`` in, whose new lines were written for ``aims``; False where its text is known."""
        text = candidate.system_prompt.strip()
        if text in self._texts:
            return False
        self._texts.add(text)
        self.candidates[candidate.id] = candidate
        self.evaluations[candidate.id] = {}
        features = read_prompt(text).features
        self._surrogate.add(candidate.id, features, None if aims is None else frozenset(aims))
        return True

    def describe(self, instruction: str, bearing: Bearing) -> None:
        """What an instruction of some candidate is about; the posterior learns of it in ``refit``."""
        self._surrogate.describe(instruction, bearing)

    def record(self, step: Step) -> None:
        """Take in what a candidate did; the posterior learns of it in ``refit``."""
        for evaluation in step.evaluations:
            query_id, score = evaluation.rollout.query.id, evaluation.score
            self.judged += 1
            self._asked.add(query_id)
            self.evaluations[step.candidate.id][query_id] = evaluation
            if not isinstance(score, Scored):
                self.unscored += 1
                continue
            self._learn(step.candidate.id, query_id, score)

    def _learn(self, candidate_id: str, query_id: str, score: Scored) -> None:
        """Tell the surrogate. A requirement that is not met takes whatever else the query calls for along.

        Where one fails nobody is asked about the rest, so what else there is may be known only later.
        """
        counted = [item for item in score.criteria if item.weight > 0 or item.required]
        called, failed = self._called[query_id], self._failed[query_id]
        fresh = [item.criterion for item in counted if item.criterion not in called]
        called.update({item.criterion: item.weight for item in counted})
        self.answers.update(fresh)
        weights = {name: weight for name, weight in called.items() if weight > 0} or dict.fromkeys(
            called, 1.0
        )
        for name in failed:
            self._surrogate.observe(name, query_id, dict.fromkeys(fresh, _LOWEST), weights)
        scores = {item.criterion: item.score for item in counted}
        if any(item.required and item.score <= _LOWEST for item in counted):
            failed.append(candidate_id)
            scores |= dict.fromkeys(called, _LOWEST)
        self._surrogate.observe(candidate_id, query_id, scores, weights)

    async def refit(self) -> None:
        """Bring the posterior up to date, off the loop; without any score there is none."""
        if self._called:
            self._posterior = await asyncio.to_thread(self._surrogate.fit)

    def calls(self, rates: CallRates) -> int:
        """Calls that all evaluations so far have taken, without repairs and retries."""
        return rates.rollout * self.judged + rates.query * len(self._asked)

    def missing(self, candidate_id: str, queries: Sequence[Query]) -> list[Query]:
        """Those of ``queries`` that the candidate has not answered yet."""
        known = self.evaluations[candidate_id]
        return [query for query in queries if query.id not in known]

    def scored(self) -> list[str]:
        """The candidates with at least one score, the oldest first."""
        return [name for name in self.candidates if self.rewards(name)]

    def rewards(self, candidate_id: str) -> dict[str, float]:
        """The candidate's rewards by query; unscored ones are left out."""
        return {
            query_id: item.score.reward
            for query_id, item in self.evaluations[candidate_id].items()
            if isinstance(item.score, Scored)
        }

    def differences(self, candidate_id: str, other_id: str) -> tuple[float, ...]:
        """The candidate's rewards less the other's, on the queries on which both have one."""
        own, other = self.rewards(candidate_id), self.rewards(other_id)
        return tuple(reward - other[query_id] for query_id, reward in own.items() if query_id in other)

    def value(self, candidate_id: str) -> float:
        """The candidate's expected reward, less what its length has to bring."""
        words = len(self.candidates[candidate_id].system_prompt.split())
        return round(self.posterior.reward(candidate_id) - self._length_price * words, 9)

    def leader(self) -> str:
        """The best candidate with a score; of equal ones the oldest."""
        return max(self.scored(), key=self.value)

    def best(self, count: int) -> list[str]:
        """The ``count`` best candidates with a score, best first."""
        return sorted(self.scored(), key=lambda name: -self.value(name))[:count]

    def mean_reward(self, candidate_id: str, queries: Sequence[Query]) -> float | None:
        """The candidate's mean reward on ``queries``; None where it has none."""
        rewards = self.rewards(candidate_id)
        found = [rewards[query.id] for query in queries if query.id in rewards]
        return fmean(found) if found else None

    def path(self, candidate_id: str) -> BeamPath:
        """The candidate with all its evaluations, as a lineage of one step."""
        evaluations = tuple(self.evaluations[candidate_id].values())
        return BeamPath(steps=(Step(candidate=self.candidates[candidate_id], evaluations=evaluations),))
