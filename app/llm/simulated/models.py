"""The simulated models: who answers, judged from what was sent alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.backend_settings import SimulatedSettings, SimulatedWorldSettings
from app.llm.simulated import (
    critic_judge,
    critic_labels,
    critic_pairwise,
    critic_proposer,
    critic_reader,
    critic_rewriter,
    critic_selector,
)
from app.llm.simulated.banks import load_all
from app.llm.simulated.base_text import as_completion, read_text, with_examples_read
from app.llm.simulated.draws import Draw
from app.llm.simulated.likelihood import ANSWERS, prompt_logprobs
from app.llm.simulated.target import Conversation, Target
from app.llm.simulated.world import World
from optimizer.types import JsonObject, JsonValue, Message

CRITIC = "simulated-critic"

_SYSTEM = frozenset({"system", "developer"})
_CRITICS: Mapping[str, Callable[[str, int, Draw, SimulatedWorldSettings], str]] = {
    critic_judge.TASK: critic_judge.judge,
    critic_judge.HARSH_TASK: critic_judge.judge_harshly,
    critic_labels.TASK: critic_labels.grade,
    critic_pairwise.TASK: critic_pairwise.compare,
    critic_proposer.TASK: critic_proposer.propose,
    critic_reader.TASK: critic_reader.read,
    critic_rewriter.TASK: critic_rewriter.rewrite,
}
"""The tasks that take the user message alone; the selector reads the system message too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompted:
    """What a model was sent: a conversation, or plain text for a base model."""

    model: str
    prompt: Sequence[Message] | str


@dataclass(frozen=True, kw_only=True, slots=True)
class Continued:
    """What was asked, and the answer that the model is to go on with."""

    asked: Prompted
    answer: str


class SimulatedModels:
    """All models of one world."""

    def __init__(self, settings: SimulatedSettings) -> None:
        load_all()
        self._seed = settings.seed
        self._character = settings.world
        self._target = Target(World(settings.seed, settings.world), settings.seed)

    def is_critic_task(self, prompted: Prompted) -> bool:
        """Whether the reply has the form that one of the critic's tasks asks for."""
        return _task(prompted) is not None

    def logprobs(self, prompted: Prompted, text: str, alternatives: int) -> JsonObject | None:
        """The log-probabilities of the reply ``text``; None for all but grading by digits."""
        if isinstance(prompted.prompt, str) or _task(prompted) != critic_labels.TASK:
            return None
        conversation = as_conversation(prompted.prompt)
        message = (*conversation.earlier, conversation.query)[0]
        beliefs = critic_labels.read_beliefs(message, self._seed, self._character)
        return critic_labels.token_logprobs(text, beliefs, alternatives)

    def prompt_logprobs(self, continued: Continued) -> list[JsonValue]:
        """The log-probabilities of all words that the model was sent."""
        prompt = continued.asked.prompt
        before = prompt if isinstance(prompt, str) else "\n".join(message.text for message in prompt)
        draws = (Draw(temperature=1.0, seed=seed, index=0) for seed in range(ANSWERS))
        answers = [self.reply(continued.asked, draw) for draw in draws] if continued.answer.strip() else []
        return prompt_logprobs(before, continued.answer, answers)

    def reply(self, prompted: Prompted, draw: Draw) -> str:
        """One reply; the same for the same arguments.

        Raises:
            KeyError: there is no such model.
        """
        if isinstance(prompted.prompt, str):
            layout = read_text(prompted.prompt)
            answer = self._target.answer(prompted.model, layout.conversation, draw)
            return as_completion(answer, layout)
        conversation = as_conversation(prompted.prompt)
        task = _task(prompted)
        if task is None:
            return self._target.answer(prompted.model, with_examples_read(conversation), draw)
        # A repair request comes after the material, which stays the first user turn.
        message = (*conversation.earlier, conversation.query)[0]
        if task == critic_selector.TASK:
            return critic_selector.select(conversation.system, message, self._seed, draw)
        return _CRITICS[task](message, self._seed, draw, self._character)


def as_conversation(messages: Sequence[Message]) -> Conversation:
    """The conversation as a target reads it."""
    asked = [message.text for message in messages if message.role == "user"]
    return Conversation(
        system="\n\n".join(message.text for message in messages if message.role in _SYSTEM),
        shown_answers=tuple(message.text for message in messages if message.role == "assistant"),
        earlier=tuple(asked[:-1]),
        query=asked[-1] if asked else "",
    )


def _task(prompted: Prompted) -> str | None:
    if prompted.model != CRITIC or isinstance(prompted.prompt, str) or not prompted.prompt:
        return None
    first = prompted.prompt[0]
    if first.role not in _SYSTEM:
        return None
    opening = first.text.partition("\n")[0].strip()
    return opening if opening in _CRITICS or opening == critic_selector.TASK else None
