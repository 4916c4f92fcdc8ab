"""What the tests of the rewards build again and again."""

import json
import math
from collections.abc import Iterable, Mapping

from typing_extensions import override

from optimizer.types import Completion, JsonObject, JsonValue, Query, Sampling
from rewards.catalog import CriteriaCatalog
from rewards.judge import Judge
from rewards.scorer import DynamicRewardScorer
from rewards.selector import Selector
from rewards.types import (
    Criterion,
    CriterionOrigin,
    Selection,
    SelectionKey,
    SelectionRecords,
    SelectionSource,
)
from tests.fakes.chat_model import ScriptedModel

CATALOG = CriteriaCatalog.load()
GREEDY = Sampling(temperature=0, top_p=1, max_tokens=2048)
QUERY = Query(id="q1", text="How do I boil an egg?")
ANSWER = Completion(text="Seven minutes in boiling water.")


def listed(name: str) -> Criterion:
    """A criterion of the catalogue."""
    criterion = CATALOG.find(name)
    assert criterion is not None
    return criterion


def own(name: str, description: str) -> Criterion:
    """A criterion that a selector made up."""
    return Criterion(name=name, good=description, scoring=description, origin=CriterionOrigin.SELECTOR)


def selection(*criteria: Criterion, rationale: str = "These decide.") -> Selection:
    """A selection of ``criteria``, or of Helpfulness and Clarity."""
    return Selection(
        criteria=criteria or (listed("Helpfulness"), listed("Clarity")),
        rationale=rationale,
        source=SelectionSource.SELECTED,
        selector_model="fake/selector",
        template_version="v",
    )


def selector_reply(*names: str, reasoning: str = "These decide.") -> str:
    """A selector's reply that names criteria of the catalogue."""
    criteria: list[JsonValue] = [{"name": name, "description": "", "reason": "it fits"} for name in names]
    return json.dumps({"analysis": "a plain question", "criteria": criteria, "reasoning": reasoning})


def judge_reply(**scores: JsonValue) -> str:
    """A judge's reply in the form asked for."""
    verdicts = [
        {"criterion": name, "rationale": f"on {name}", "score": score} for name, score in scores.items()
    ]
    return json.dumps({"scores": verdicts})


def digits_reply(*beliefs: Mapping[str, float]) -> Completion:
    """A reply of digits: the likeliest of each of ``beliefs``, with the log-probabilities of all."""
    content: list[JsonValue] = []
    digits = [max(belief, key=lambda token: belief[token]) for belief in beliefs]
    for digit, belief in zip(digits, beliefs, strict=True):
        others: list[JsonValue] = [
            {"token": token, "logprob": math.log(share)} for token, share in belief.items()
        ]
        content += [
            {"token": digit, "logprob": math.log(belief[digit]), "top_logprobs": others},
            {"token": "\n", "logprob": 0.0, "top_logprobs": []},
        ]
    return Completion(text="\n".join(digits), finish_reason="stop", logprobs={"content": content})


def selector_of(
    model: ScriptedModel, *, records: SelectionRecords | None = None, max_new_criteria: int = 2
) -> Selector:
    """A selector with the package's catalogue."""
    return Selector(
        model, catalog=CATALOG, sampling=GREEDY, records=records, max_new_criteria=max_new_criteria
    )


def scorer_of(selector: ScriptedModel, judge: ScriptedModel, *, seed: int = 7) -> DynamicRewardScorer:
    """A scorer without records."""
    return DynamicRewardScorer(selector_of(selector), Judge(judge, sampling=GREEDY), seed=seed)


def names(criteria: Iterable[Criterion]) -> list[str]:
    """The names of ``criteria``."""
    return [criterion.name for criterion in criteria]


class DictRecords(SelectionRecords):
    """Keeps selections as JSON text in memory, the last one under each key and no fallback."""

    def __init__(self) -> None:
        self.kept: dict[SelectionKey, str] = {}

    @override
    def expect(self, texts: Iterable[str]) -> None:
        """Nothing to look up."""

    @override
    async def get(self, key: SelectionKey) -> JsonObject | None:
        text = self.kept.get(key)
        if text is None:
            return None
        value: JsonObject = json.loads(text)
        return value

    @override
    async def put(self, key: SelectionKey, value: JsonObject, source: SelectionSource) -> JsonObject:
        if source is SelectionSource.SELECTED:
            self.kept[key] = json.dumps(value, allow_nan=False)
        return value
