"""Has the optimizer model read instructions: a search so knows what each is about before it is tried."""

import dataclasses
from collections.abc import Mapping, Sequence

from typing_extensions import override

from optimizer.bearing import Bearing, InstructionReader
from optimizer.errors import MalformedReplyError, MisconfiguredError, RequestRefusedError
from optimizer.protocols import ChatModel
from optimizer.quoting import quote, quote_inline
from optimizer.seeds import content_seed
from optimizer.structured import Failure, ask
from optimizer.templating import PromptTemplate
from optimizer.types import CompletionRequest, JsonObject, JsonValue, Message, OutputSchema, Sampling

_NAMES: JsonObject = {"type": "array", "items": {"type": "string"}}
READING_SCHEMA = OutputSchema(
    name="instruction_reading",
    schema={
        "type": "object",
        "properties": {
            "instructions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"number": {"type": "integer"}, "raises": _NAMES, "lowers": _NAMES},
                    "required": ["number", "raises", "lowers"],
                    "additionalProperties": False,
                },
            }
        },
        "required": ["instructions"],
        "additionalProperties": False,
    },
)


class ModelInstructionReader(InstructionReader):
    """Asks a model which of the criteria each instruction raises and lowers."""

    def __init__(self, model: ChatModel, sampling: Sampling, *, seed: int) -> None:
        """A reader that asks ``model`` as ``sampling`` says, but at temperature 0; ``seed`` is the run's."""
        self._model = model
        self._sampling = dataclasses.replace(sampling, temperature=0.0, top_p=1.0)
        self._seed = seed
        self._system = PromptTemplate.load(
            "optimizer.templates", "read_instructions_system.md.j2", variables=frozenset()
        )
        self._user = PromptTemplate.load(
            "optimizer.templates",
            "read_instructions_user.md.j2",
            variables=frozenset({"criteria", "instructions"}),
        )

    @override
    async def read(self, instructions: Sequence[str], criteria: Sequence[str]) -> Sequence[Bearing | None]:
        shown = self._user.render(
            {
                "criteria": [quote_inline(name) for name in criteria],
                "instructions": [quote(text) for text in instructions],
            }
        )
        request = CompletionRequest(
            prompt=(
                Message(role="system", content=self._system.render({})),
                Message(role="user", content=shown),
            ),
            sampling=self._sampling,
            seed=content_seed(self._seed, "reading", shown),
            output=READING_SCHEMA,
        )
        known = {name.casefold(): name for name in criteria}
        nothing: Sequence[Bearing | None] = [None] * len(instructions)
        try:
            found = (await ask(self._model, request, lambda reply: _read(reply, known)))[0]
        except MisconfiguredError:
            raise
        except RequestRefusedError:
            return nothing
        if isinstance(found, Failure):
            return nothing
        return [found.get(number) for number in range(1, len(instructions) + 1)]


def _read(reply: JsonObject, known: Mapping[str, str]) -> dict[int, Bearing]:
    """The bearings in a reply by the instructions' numbers; names that are no criteria are passed over.

    Raises:
        MalformedReplyError: there is no list of instructions.
    """
    entries = reply.get("instructions")
    if not isinstance(entries, list):
        raise MalformedReplyError("'instructions' has to be a list with an entry for each instruction")
    found: dict[int, Bearing] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        number = entry.get("number")
        if isinstance(number, int):
            raises = _criteria(entry.get("raises"), known)
            found[number] = Bearing(raises=raises, lowers=_criteria(entry.get("lowers"), known) - raises)
    return found


def _criteria(names: JsonValue, known: Mapping[str, str]) -> frozenset[str]:
    listed = names if isinstance(names, list) else []
    folded = (name.strip().casefold() for name in listed if isinstance(name, str))
    return frozenset(known[name] for name in folded if name in known)
