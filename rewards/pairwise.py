"""Which of two answers is better: one comparison by a model, in both orders."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from typing_extensions import override

from optimizer.concurrency import run_together
from optimizer.errors import MalformedReplyError, MisconfiguredError, RequestRefusedError
from optimizer.preferences import Comparison, Preference, Uncompared
from optimizer.protocols import ChatModel, PairwiseJudge
from optimizer.quoting import quote
from optimizer.seeds import derive_seed
from optimizer.structured import Failure, ask
from optimizer.types import Completion, CompletionRequest, JsonObject, Message, OutputSchema, Query, Sampling
from rewards.cleaning import clean_text, name_key
from rewards.meta_prompt import MetaPrompt, criterion_lines
from rewards.types import Selection

_MAX_REASON = 500
_PROMPT = MetaPrompt.load(
    "compare", user_variables=frozenset({"criteria", "rationale", "query", "answer_a", "answer_b"})
)
_OUTPUT = OutputSchema(
    name="comparison",
    schema={
        "type": "object",
        "properties": {
            "differences": {"type": "string"},
            "better": {"type": "string", "enum": ["A", "B", "tie"]},
        },
        "required": ["differences", "better"],
        "additionalProperties": False,
    },
)
_ORDERS = 2
_A, _B, _TIE = -1, 1, 0
_VOTES = {
    "a": _A,
    "answera": _A,
    "first": _A,
    "b": _B,
    "answerb": _B,
    "second": _B,
    "tie": _TIE,
    "tied": _TIE,
    "equal": _TIE,
    "both": _TIE,
    "neither": _TIE,
    "none": _TIE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Verdict:
    """What one order says: ``vote`` is -1 for A, +1 for B, 0 for neither."""

    vote: int
    rationale: str


class ModelPairwiseJudge(PairwiseJudge):
    """Asks a model which of two answers meets the criteria of their query better, in both orders.

    A judge that goes by the place of an answer contradicts itself that way, which counts as no preference.
    """

    def __init__(
        self,
        model: ChatModel,
        selection: Callable[[Query], Awaitable[Selection]],
        *,
        sampling: Sampling,
    ) -> None:
        """Ask ``model``.

        Args:
            model: the judge.
            selection: the criteria of a query: those that its answers are scored on.
            sampling: how the model samples.
        """
        self._model = model
        self._selection = selection
        self._sampling = sampling

    @property
    def model_name(self) -> str:
        """The ``name`` of the model asked."""
        return self._model.name

    @property
    def template_version(self) -> str:
        """Version of the meta-prompt, for provenance."""
        return _PROMPT.version

    @override
    async def compare(self, query: Query, first: Completion, second: Completion, *, seed: int) -> Comparison:
        if first.text == second.text:
            return Preference(value=0.0, rationale="The answers are the same.")
        selection = await self._selection(query)
        if not selection.criteria:
            return Uncompared(reason="there is no judged criterion to compare by")
        orders = ((first.text, second.text), (second.text, first.text))
        straight, swapped = await run_together(
            self._ask(query.text, answers, selection, derive_seed(seed, "order", place))
            for place, answers in enumerate(orders)
        )
        return _combine(straight, swapped)

    async def _ask(
        self, query: str, answers: tuple[str, str], selection: Selection, seed: int
    ) -> _Verdict | Uncompared:
        request = CompletionRequest(
            prompt=_messages(query, answers, selection), sampling=self._sampling, seed=seed, output=_OUTPUT
        )
        try:
            (reading,) = await ask(self._model, request, _read)
        except MisconfiguredError:
            raise
        except RequestRefusedError as error:
            return Uncompared(reason=clean_text(f"the judge refused: {error}", limit=_MAX_REASON))
        if isinstance(reading, Failure):
            reason = f"the judge's reply could not be read: {reading.reason}"
            return Uncompared(reason=clean_text(reason, limit=_MAX_REASON))
        return reading


def _combine(straight: _Verdict | Uncompared, swapped: _Verdict | Uncompared) -> Comparison:
    """The mean of both orders' votes, where one that is missing votes for neither."""
    votes = []
    reasons = []
    if isinstance(straight, _Verdict):
        votes.append(straight.vote)
        reasons.append(straight.rationale)
    if isinstance(swapped, _Verdict):
        votes.append(-swapped.vote)
        reasons.append(f"The other way round: {swapped.rationale}")
    if isinstance(straight, Uncompared) and not votes:
        return straight
    return Preference(
        value=sum(votes) / _ORDERS,
        rationale="\n".join(reasons),
        consistent=len(votes) == _ORDERS and votes[0] == votes[1],
    )


def _read(reply: JsonObject) -> _Verdict:
    """Read ``{"differences", "better"}``.

    Raises:
        MalformedReplyError: it does not say which answer is better.
    """
    better = reply.get("better")
    vote = _VOTES.get(name_key(better)) if isinstance(better, str) else None
    if vote is None:
        raise MalformedReplyError('`better` has to be "A", "B" or "tie"')
    differences = reply.get("differences")
    return _Verdict(vote=vote, rationale=clean_text(differences) if isinstance(differences, str) else "")


def _messages(query: str, answers: tuple[str, str], selection: Selection) -> tuple[Message, Message]:
    return _PROMPT.messages(
        system={},
        user={
            "criteria": criterion_lines(selection.criteria),
            "rationale": quote(selection.rationale),
            "query": quote(query),
            "answer_a": quote(answers[0]),
            "answer_b": quote(answers[1]),
        },
    )
