"""What a model behind a backend can do, and where that is remembered."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import orjson
from pydantic import TypeAdapter, ValidationError

from app.backend_settings import CapabilityOverrides
from optimizer.types import JsonObject

MaxTokensField = Literal["max_tokens", "max_completion_tokens"]

MOST_TOP_LOGPROBS: Final = 20
"""What OpenAI and vLLM give at most, as they come."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What can be sent to a model, and what comes back.

    Attributes:
        system_role: takes system messages; else their text goes in front of the first user message.
        sampling: takes ``temperature`` and ``top_p``; reasoning models refuse them.
        n: gives several completions for one request; else they are asked for one by one.
        greedy_n: does so at temperature 0, too.
        seed: takes a seed.
        logprobs: gives log-probabilities.
        top_logprobs: alternatives that it gives with each token, 0 to 20.
        json_schema: makes the reply follow a JSON schema.
        json_mode: makes the reply a JSON object.
        structured_outputs: makes it follow a JSON schema by vLLM's own field of that name.
        max_tokens_field: what it calls the limit of the completion's length.
        usage: says how many tokens were used.
        usage_in_stream: says so at the end of a stream as well.
        prompt_logprobs: gives log-probabilities of what it is sent, by vLLM's field of that name.
        echo: gives them with an echo of the prompt; completions only.
        tokenize: counts the tokens of a prompt at ``/tokenize``, as it counts them when it answers.
        priority: takes the priority of a request: the lower, the earlier.
    """

    system_role: bool = True
    sampling: bool = True
    n: bool = True
    greedy_n: bool = True
    seed: bool = True
    logprobs: bool = True
    top_logprobs: int = MOST_TOP_LOGPROBS
    json_schema: bool = True
    json_mode: bool = True
    structured_outputs: bool = False
    max_tokens_field: MaxTokensField = "max_tokens"
    usage: bool = True
    usage_in_stream: bool = True
    prompt_logprobs: bool = False
    echo: bool = False
    tokenize: bool = False
    priority: bool = False

    @property
    def version(self) -> str:
        """The first 12 hex digits of the record's SHA-256, for provenance."""
        text = orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(text).hexdigest()[:12]

    def to_json(self) -> JsonObject:
        """As a JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: JsonObject) -> "Capabilities | None":
        """What ``to_json`` wrote; None where another version of the program wrote something else."""
        if record.keys() != {field.name for field in dataclasses.fields(cls)}:
            return None
        try:
            # Read as JSON: strictness in Python would want an instance, and without it "yes" is true.
            return _ADAPTER.validate_json(orjson.dumps(record), strict=True)
        except ValidationError:
            return None

    def overridden_by(self, overrides: CapabilityOverrides) -> "Capabilities":
        """With what the settings say instead of what was found."""
        return dataclasses.replace(self, **overrides.model_dump(exclude_none=True))


_ADAPTER = TypeAdapter(Capabilities)

DECLARED: Final[Mapping[str, Capabilities]] = {
    "simulated": Capabilities(prompt_logprobs=True),
    # vLLM draws several answers only above temperature 0; ours schedules by priority
    "vllm": Capabilities(greedy_n=False, structured_outputs=True, prompt_logprobs=True, priority=True),
}
"""What backends in this process can do, by kind: they are ours, so nobody has to ask them."""


class CapabilityRecords(Protocol):
    """Remembers probed capabilities over restarts."""

    async def get(self, backend: str, model: str) -> JsonObject | None:
        """The record that was put for this model last, or None."""
        ...

    async def put(self, backend: str, model: str, record: JsonObject) -> None:
        """Remember ``record``; replaces an earlier one."""
        ...


def settled_by(overrides: CapabilityOverrides) -> bool:
    """Whether the settings answer every question, so that nothing has to be probed."""
    said = overrides.model_dump()
    if overrides.logprobs is False:
        del said["top_logprobs"]  # there are none
    return all(value is not None for value in said.values())
