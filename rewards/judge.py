"""How well an answer meets its criteria: one judgement by a model."""

from typing_extensions import override

from optimizer.errors import MalformedReplyError
from optimizer.protocols import ChatModel
from optimizer.quoting import quote
from optimizer.structured import Failure, ask
from optimizer.types import CompletionRequest, CriterionScore, Message, OutputSchema, Sampling
from rewards.meta_prompt import MetaPrompt, criterion_lines
from rewards.parsing import read_scores
from rewards.types import AnswerJudge, Selection

_USER_VARIABLES = frozenset({"criteria", "rationale", "query", "answer"})
_PROMPT = MetaPrompt.load("judge", user_variables=_USER_VARIABLES)
_HARSH_PROMPT = MetaPrompt.load("judge_harshly", user_variables=_USER_VARIABLES, user_of="judge")

_OUTPUT = OutputSchema(
    name="criterion_scores",
    schema={
        "type": "object",
        "properties": {
            "scores": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "criterion": {"type": "string"},
                        "rationale": {"type": "string"},
                        "score": {"type": "number"},
                    },
                    "required": ["criterion", "rationale", "score"],
                    "additionalProperties": False,
                },
            }
        },
        "required": ["scores"],
        "additionalProperties": False,
    },
)


class Judge(AnswerJudge):
    """Scores an answer on each criterion of a selection, with a reason."""

    def __init__(self, model: ChatModel, *, sampling: Sampling, harsh: bool = False) -> None:
        """Ask ``model``, sampling as ``sampling`` says; one that is ``harsh`` hunts for faults."""
        self._model = model
        self._sampling = sampling
        self._prompt = _HARSH_PROMPT if harsh else _PROMPT

    @property
    @override
    def model_name(self) -> str:
        return self._model.name

    @property
    @override
    def template_version(self) -> str:
        return self._prompt.version

    @override
    async def judge(
        self, query: str, answer: str, selection: Selection, *, seed: int
    ) -> tuple[CriterionScore, ...]:
        request = CompletionRequest(
            prompt=self._messages(query, answer, selection),
            sampling=self._sampling,
            seed=seed,
            output=_OUTPUT,
        )
        (reading,) = await ask(self._model, request, lambda reply: read_scores(reply, selection.criteria))
        if isinstance(reading, Failure):
            raise MalformedReplyError(reading.reason)
        return reading

    def _messages(self, query: str, answer: str, selection: Selection) -> tuple[Message, Message]:
        return self._prompt.messages(
            system={},
            user={
                "criteria": criterion_lines(selection.criteria),
                "rationale": quote(selection.rationale),
                "query": quote(query),
                "answer": quote(answer),
            },
        )
