"""A proposer that is told what to raise: weak criteria over the whole history, failures, earlier prompts."""

from collections.abc import Sequence

from typing_extensions import override

from optimizer.brief import Brief
from optimizer.errors import MisconfiguredError, RequestRefusedError
from optimizer.proposers.rewriting import PROPOSAL_SCHEMA, as_proposal, read_proposal, show_evaluation
from optimizer.protocols import ChatModel, Reflector
from optimizer.quoting import Quoted, quote, quote_inline
from optimizer.seeds import content_seed
from optimizer.structured import ask
from optimizer.templating import PromptTemplate
from optimizer.types import CompletionRequest, Message, Proposal, Sampling


class ReflectingProposer(Reflector):
    """Asks the optimizer model for the next version of a prompt, with a brief.

    Unlike the paper's it shows failures on several queries, the mean of every criterion over all answers so
    far, and earlier prompts with their rewards (as OPRO does, arXiv 2309.03409).
    """

    def __init__(self, model: ChatModel, sampling: Sampling, *, seed: int) -> None:
        """A proposer that asks ``model``, sampling as ``sampling`` says; ``seed`` is the run's."""
        self._model = model
        self._sampling = sampling
        self._seed = seed
        self._system = PromptTemplate.load(
            "optimizer.templates", "reflect_system.md.j2", variables=frozenset()
        )
        self._user = PromptTemplate.load(
            "optimizer.templates",
            "reflect_user.md.j2",
            variables=frozenset({"current_prompt", "aims", "criteria", "evaluations", "earlier_prompts"}),
        )

    @property
    @override
    def template_version(self) -> str:
        return f"{self._system.version}.{self._user.version}"

    @override
    async def propose(self, brief: Brief, *, draw: int, count: int) -> Sequence[Proposal]:
        shown = self._render(brief)
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

    def _render(self, brief: Brief) -> str:
        weakest_first = sorted(brief.means, key=lambda name: (brief.means[name], name))
        return self._user.render(
            {
                "current_prompt": quote(brief.parent.system_prompt),
                "aims": [_show_criterion(name, brief) for name in brief.aims],
                "criteria": [_show_criterion(name, brief) for name in weakest_first],
                "evaluations": [show_evaluation(item) for item in brief.failures],
                "earlier_prompts": [
                    {
                        "prompt": quote(item.system_prompt),
                        "reward": quote_inline(f"mean reward {item.reward:.2f}"),
                    }
                    for item in brief.earlier
                ],
            }
        )


def _show_criterion(name: str, brief: Brief) -> dict[str, Quoted]:
    return {
        "criterion": quote_inline(name),
        "mean": quote_inline(f"{brief.means[name]:.1f}"),
        "answers": quote_inline(str(brief.answers.get(name, 0))),
    }
