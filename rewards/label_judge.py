"""How well an answer meets its criteria, read from log-probabilities: a digit for each, in one call."""

import dataclasses

from typing_extensions import override

from optimizer.errors import MalformedReplyError
from optimizer.protocols import ChatModel
from optimizer.quoting import quote
from optimizer.types import CompletionRequest, CriterionScore, Message, Sampling
from rewards.label_probabilities import LABELS, LEAST_LABEL_MASS, expected_labels
from rewards.meta_prompt import MetaPrompt, criterion_lines
from rewards.types import AnswerJudge, Selection

_PROMPT = MetaPrompt.load(
    "judge_labels", user_variables=frozenset({"criteria", "rationale", "query", "answer"})
)
MOST_ALTERNATIVES = 20
"""Alternatives asked for at each token: what OpenAI and vLLM give at most. Labels come in several forms."""
LEAST_ALTERNATIVES = len(LABELS)
"""Fewer than this cannot hold all labels."""
_TOKENS_PER_LABEL = 4
"""The digit, a line's end, and room for tokenizers that write more for them."""


class LabelJudge(AnswerJudge):
    """Scores an answer by the expectation over the labels 1 to 5, and gives no reasons.

    The judge writes a digit for each criterion; what it would have written instead, and how likely, is what
    its integers hide (as G-Eval weighs scores, arXiv 2303.16634). What varies most comes last: all answers to
    a query share the request up to the answer.
    """

    def __init__(self, model: ChatModel, *, sampling: Sampling) -> None:
        """Ask ``model``, sampling as ``sampling`` says; the length follows from the criteria."""
        self._model = model
        self._sampling = sampling

    @property
    @override
    def model_name(self) -> str:
        return self._model.name

    @property
    @override
    def template_version(self) -> str:
        return _PROMPT.version

    @override
    async def judge(
        self, query: str, answer: str, selection: Selection, *, seed: int
    ) -> tuple[CriterionScore, ...]:
        """As the port says, without a repair request: the same model would make the same slip again."""
        criteria = selection.criteria
        result = await self._model.complete(
            CompletionRequest(
                prompt=_messages(query, answer, selection),
                sampling=dataclasses.replace(self._sampling, max_tokens=_TOKENS_PER_LABEL * len(criteria)),
                seed=seed,
                top_logprobs=MOST_ALTERNATIVES,
            )
        )
        labels = expected_labels(result.completions[0].logprobs, len(criteria))
        scores = tuple(
            CriterionScore(criterion=criterion.name, score=label, rationale="")
            for criterion, label in zip(criteria, labels, strict=True)
            if label is not None
        )
        if not scores:
            raise MalformedReplyError(
                f"the judge puts less than {LEAST_LABEL_MASS:.0%} of its probability on the labels 1 to 5"
            )
        return scores


def _messages(query: str, answer: str, selection: Selection) -> tuple[Message, Message]:
    return _PROMPT.messages(
        system={},
        user={
            "criteria": criterion_lines(selection.criteria),
            "rationale": quote(selection.rationale),
            "query": quote(query),
            "answer": quote(answer),
        },
    )
