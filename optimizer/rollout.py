"""One candidate on one query."""

import dataclasses

from optimizer.errors import MisconfiguredError, RequestRefusedError
from optimizer.protocols import ChatModel, Retriever
from optimizer.rendering import COMPLETION_STOP, ExamplePlace, render_chat, render_text
from optimizer.seeds import content_seed
from optimizer.types import Candidate, CompletionRequest, Example, Message, Query, Rollout, Sampling


class RolloutRunner:
    """Asks the target under a candidate, in the form in which the service would ask it."""

    def __init__(
        self,
        target: ChatModel,
        retriever: Retriever,
        *,
        k: int,
        sampling: Sampling,
        base_model: bool,
        place: ExamplePlace = ExamplePlace.FIRST,
    ) -> None:
        """A runner for one target.

        Args:
            target: the model under alignment.
            retriever: finds the in-context examples.
            k: how many of them.
            sampling: the target's sampling parameters.
            base_model: whether the target has no chat template and completes plain text.
            place: where the examples stand.
        """
        self._target = target
        self._retriever = retriever
        self._k = k
        self._sampling = sampling
        self._base_model = base_model
        self._place = place

    async def run(self, candidate: Candidate, query: Query, *, seed: int, draw: int = 0) -> Rollout:
        """The target's answer to ``query`` under ``candidate``.

        A request that a backend refuses (a content filter, a context too long) is a rollout without a
        completion.

        Args:
            candidate: the system prompt.
            query: the user input.
            seed: the run's seed; the call's is derived from it, the prompt and the query.
            draw: which of several independent answers it is, from 0.

        Raises:
            ModelError: the backend cannot be used.
            BudgetExceededError: no call left.
        """
        call_seed = content_seed(seed, "target", candidate.system_prompt, query.id, draw=draw)
        shown: tuple[str, ...] = ()
        asked = "embedder"
        try:
            examples = await self._retriever.retrieve(query.text, self._k)
            shown = tuple(example.id for example in examples)
            request = self._render(candidate.system_prompt, examples, query, call_seed)
            asked = "target"
            result = await self._target.complete(request)
        except MisconfiguredError:
            raise
        except RequestRefusedError as error:
            return Rollout(
                candidate_id=candidate.id,
                query=query,
                completion=None,
                failure=f"the {asked} refused: {error}",
                example_ids=shown,
                seed=call_seed,
            )
        return Rollout(
            candidate_id=candidate.id,
            query=query,
            completion=result.completions[0],
            example_ids=shown,
            seed=call_seed,
            usage=result.usage,
            seconds=result.seconds,
        )

    def _render(
        self, system_prompt: str, examples: tuple[Example, ...], query: Query, seed: int
    ) -> CompletionRequest:
        conversation = (Message(role="user", content=query.text),)
        if not self._base_model:
            prompt = render_chat(system_prompt, examples, conversation, self._place)
            return CompletionRequest(prompt=prompt, sampling=self._sampling, seed=seed)
        stop = tuple(dict.fromkeys(self._sampling.stop + COMPLETION_STOP))
        return CompletionRequest(
            prompt=render_text(system_prompt, examples, conversation, self._place),
            sampling=dataclasses.replace(self._sampling, stop=stop),
            seed=seed,
        )
