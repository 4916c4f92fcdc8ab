"""The rewriter of stage 1: a model writes better answers from a judge's reasons."""

from collections.abc import Sequence

from typing_extensions import override

from optimizer.errors import MalformedReplyError, MisconfiguredError, RequestRefusedError
from optimizer.examples.answers import JudgedAnswer, Rewrite
from optimizer.examples.ports import AnswerRewriter
from optimizer.protocols import ChatModel
from optimizer.quoting import quote, quote_inline
from optimizer.seeds import content_seed
from optimizer.structured import Failure, ask, read_text
from optimizer.templating import PromptTemplate
from optimizer.types import (
    CompletionRequest,
    JsonObject,
    Message,
    ModelRole,
    OutputSchema,
    Query,
    Sampling,
    Scored,
)

ANSWER_LIMIT = 20_000
"""Characters of an answer; a longer one is a runaway reply."""
_RATIONALE_LIMIT = 400

_SCHEMA = OutputSchema(
    name="model_answer",
    schema={
        "type": "object",
        "properties": {"analysis": {"type": "string"}, "answer": {"type": "string"}},
        "required": ["analysis", "answer"],
        "additionalProperties": False,
    },
)


class ModelAnswerRewriter(AnswerRewriter):
    """Shows a model a query, an answer and how it was judged; asks for a better one."""

    def __init__(self, model: ChatModel, sampling: Sampling, *, seed: int) -> None:
        """A rewriter that asks ``model``, sampling as ``sampling`` says, in the run with ``seed``."""
        self._model = model
        self._sampling = sampling
        self._seed = seed
        self._system = PromptTemplate.load(
            "optimizer.templates", "rewrite_answer_system.md.j2", variables=frozenset()
        )
        self._user = PromptTemplate.load(
            "optimizer.templates",
            "rewrite_answer_user.md.j2",
            variables=frozenset({"query", "has_answer", "answer", "scores"}),
        )

    @property
    @override
    def template_version(self) -> str:
        return f"{self._system.version}.{self._user.version}"

    @override
    async def rewrite(
        self, query: Query, judged: JudgedAnswer | None, *, count: int, draw: int
    ) -> Sequence[Rewrite]:
        text = "" if judged is None else judged.answer.text
        request = CompletionRequest(
            prompt=(
                Message(role="system", content=self._system.render({})),
                Message(role="user", content=self._render(query, judged)),
            ),
            sampling=self._sampling,
            n=count,
            seed=content_seed(self._seed, ModelRole.REWRITER.value, query.text, text, draw=draw),
            output=_SCHEMA,
        )
        try:
            replies = await ask(self._model, request, read_answer)
        except MisconfiguredError:
            raise
        except RequestRefusedError as error:
            return [Rewrite(text=None, rationale=f"the rewriter refused: {error}")] * count
        return [_as_rewrite(reply) for reply in replies]

    def _render(self, query: Query, judged: JudgedAnswer | None) -> str:
        scores = judged.score.criteria if judged and isinstance(judged.score, Scored) else ()
        return self._user.render(
            {
                "query": quote(query.text),
                "has_answer": int(judged is not None),
                "answer": quote("" if judged is None else judged.answer.text),
                "scores": [
                    {
                        "criterion": quote_inline(score.criterion),
                        "score": quote_inline(f"{score.score:.1f}"),
                        "rationale": quote_inline(score.rationale, limit=_RATIONALE_LIMIT),
                    }
                    for score in scores
                ],
            }
        )


def read_answer(reply: JsonObject) -> Rewrite:
    """The answer in a rewriter's reply.

    Raises:
        MalformedReplyError: the answer is missing, blank, not text, or longer than ``ANSWER_LIMIT``.
    """
    text = read_text(reply.get("answer"))
    if not text:
        raise MalformedReplyError("'answer' has to be the new answer as text")
    if len(text) > ANSWER_LIMIT:
        raise MalformedReplyError(f"'answer' is longer than {ANSWER_LIMIT} characters")
    return Rewrite(text=text, rationale=read_text(reply.get("analysis")))


def _as_rewrite(reply: Rewrite | Failure) -> Rewrite:
    if isinstance(reply, Failure):
        return Rewrite(text=None, rationale=reply.reason)
    return reply
