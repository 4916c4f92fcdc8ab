"""The proposer of the paper: an optimizer model rewrites a prompt from the judge's reasons."""

from collections.abc import Sequence

from typing_extensions import override

from optimizer.errors import MalformedReplyError, MisconfiguredError, RequestRefusedError
from optimizer.protocols import ChatModel, Proposer
from optimizer.quoting import Quoted, quote, quote_inline
from optimizer.seeds import content_seed
from optimizer.structured import Failure, ask, read_text
from optimizer.templating import PromptTemplate
from optimizer.types import (
    BeamPath,
    CompletionRequest,
    Evaluation,
    JsonObject,
    Message,
    OutputSchema,
    Proposal,
    Sampling,
    Scored,
    Step,
)

PROMPT_LIMIT = 20_000
"""Characters of a proposal; a longer one is a runaway reply."""

PROPOSAL_SCHEMA = OutputSchema(
    name="prompt_proposal",
    schema={
        "type": "object",
        "properties": {"analysis": {"type": "string"}, "system_prompt": {"type": "string"}},
        "required": ["analysis", "system_prompt"],
        "additionalProperties": False,
    },
)
_RATIONALE_LIMIT = 400


class RewritingProposer(Proposer):
    """Shows the optimizer model a prompt, how its answers were judged, and its ancestors; asks for a better.

    The request follows section 3 of the paper (state, reward and reasons in, a complete new prompt out) with
    meta-prompts of our own.
    """

    def __init__(self, model: ChatModel, sampling: Sampling, *, history: int, seed: int) -> None:
        """A proposer that asks ``model``.

        Args:
            model: the optimizer model.
            sampling: its sampling parameters.
            history: prompts of the lineage shown, the current one included.
            seed: the run's seed.
        """
        self._model = model
        self._sampling = sampling
        self._history = history
        self._seed = seed
        self._system = PromptTemplate.load(
            "optimizer.templates", "propose_system.md.j2", variables=frozenset()
        )
        self._user = PromptTemplate.load(
            "optimizer.templates",
            "propose_user.md.j2",
            variables=frozenset({"current_prompt", "evaluations", "earlier_prompts"}),
        )

    @property
    @override
    def template_version(self) -> str:
        return f"{self._system.version}.{self._user.version}"

    @override
    async def propose(
        self, path: BeamPath, *, round_number: int, slot: int, draw: int, count: int
    ) -> Sequence[Proposal]:
        shown = self._render_path(path)
        request = CompletionRequest(
            prompt=(
                Message(role="system", content=self._system.render({})),
                Message(role="user", content=shown),
            ),
            sampling=self._sampling,
            n=count,
            seed=content_seed(self._seed, "proposer", shown, draw=draw),
            output=PROPOSAL_SCHEMA,
        )
        try:
            replies = await ask(self._model, request, read_proposal)
        except MisconfiguredError:
            raise
        except RequestRefusedError as error:
            return [Proposal(system_prompt=None, rationale=f"the proposer refused: {error}")] * count
        return [as_proposal(reply) for reply in replies]

    def _render_path(self, path: BeamPath) -> str:
        ancestors = path.steps[:-1][-(self._history - 1) :] if self._history > 1 else ()
        return self._user.render(
            {
                "current_prompt": quote(path.candidate.system_prompt),
                "evaluations": [show_evaluation(item) for item in path.last.evaluations],
                "earlier_prompts": [_show_step(step) for step in ancestors],
            }
        )


def read_proposal(reply: JsonObject) -> Proposal:
    """The proposal in an optimizer model's reply.

    Raises:
        MalformedReplyError: the prompt is missing, blank, not text, or longer than ``PROMPT_LIMIT``.
    """
    system_prompt = read_text(reply.get("system_prompt"))
    if not system_prompt:
        raise MalformedReplyError("'system_prompt' has to be the new prompt as text")
    if len(system_prompt) > PROMPT_LIMIT:
        raise MalformedReplyError(f"'system_prompt' is longer than {PROMPT_LIMIT} characters")
    return Proposal(system_prompt=system_prompt, rationale=read_text(reply.get("analysis")))


def as_proposal(reply: Proposal | Failure) -> Proposal:
    """A reply that could not be read as a proposal that says so."""
    if isinstance(reply, Failure):
        return Proposal(system_prompt=None, rationale=reply.reason)
    return reply


def show_evaluation(evaluation: Evaluation) -> dict[str, Quoted | list[dict[str, Quoted]]]:
    """An evaluation as meta-prompts show it: query, answer, and the scores that count with their reasons."""
    completion = evaluation.rollout.completion
    found = evaluation.score.criteria if isinstance(evaluation.score, Scored) else ()
    scores = [score for score in found if score.weight > 0 or score.required]  # what does not count misleads
    return {
        "query": quote(evaluation.rollout.query.text),
        "answer": quote(completion.text if completion else "(no answer)"),
        "scores": [
            {
                "criterion": quote_inline(score.criterion),
                "score": quote_inline(f"{score.score:.1f}"),
                "rationale": quote_inline(score.rationale, limit=_RATIONALE_LIMIT),
            }
            for score in scores
        ],
    }


def _show_step(step: Step) -> dict[str, Quoted]:
    rewards = [item.score.reward for item in step.evaluations if isinstance(item.score, Scored)]
    shown = f"mean reward {sum(rewards) / len(rewards):.2f}" if rewards else "not scored"
    return {"prompt": quote(step.candidate.system_prompt), "reward": quote_inline(shown)}
