"""Which criteria matter for a query: asked of a model once, then remembered."""

import hashlib
from collections.abc import Mapping, Sequence

from typing_extensions import override

from optimizer.errors import MisconfiguredError, RequestRefusedError
from optimizer.protocols import ChatModel
from optimizer.quoting import quote, quote_inline
from optimizer.shared_calls import SharedCalls
from optimizer.structured import Failure, ask
from optimizer.types import CompletionRequest, JsonObject, Message, OutputSchema, Query, Sampling
from rewards.catalog import MAX_GOOD, CriteriaCatalog
from rewards.meta_prompt import MetaPrompt
from rewards.parsing import SelectionReading, read_selection
from rewards.selection_json import selection_from_json, selection_to_json
from rewards.types import (
    FOR_PROMPTS,
    Criterion,
    CriterionCount,
    QuerySelector,
    Selection,
    SelectionKey,
    SelectionRecords,
    SelectionSource,
)

_PROMPT = MetaPrompt.load(
    "select_criteria",
    system_variables=frozenset({"criteria", "max_new", "most"}),
    user_variables=frozenset({"query"}),
)

_STRING: JsonObject = {"type": "string"}
_OUTPUT = OutputSchema(
    name="criterion_selection",
    schema={
        "type": "object",
        "properties": {
            "analysis": _STRING,
            "criteria": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"name": _STRING, "description": _STRING, "reason": _STRING},
                    "required": ["name", "description", "reason"],
                    "additionalProperties": False,
                },
            },
            "reasoning": _STRING,
        },
        "required": ["analysis", "criteria", "reasoning"],
        "additionalProperties": False,
    },
)

_FALLBACK_RATIONALE = "These criteria fit any query; no choice was made for this one."


class Selector(QuerySelector):
    """Chooses a few criteria for a query, each query once.

    Remembers what it chose for as long as it lives and in ``SelectionRecords``; those who ask about the same
    query at the same time share one call. What the records keep goes before its own choice. A selection made
    without the model's help (``fallback``) is remembered by records that keep it, a failed call by nobody.

    Attributes:
        catalog: the criteria to choose from.
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        catalog: CriteriaCatalog,
        sampling: Sampling,
        records: SelectionRecords | None = None,
        max_new_criteria: int = 2,
        count: CriterionCount = FOR_PROMPTS,
    ) -> None:
        """Ask ``model``.

        Args:
            model: the selector.
            catalog: the criteria to choose from.
            sampling: how the model samples.
            records: where selections outlive this object; None for nowhere.
            max_new_criteria: criteria of its own that a selection may hold; 0 for the catalogue alone.
            count: how many criteria to choose.
        """
        self.catalog = catalog
        self._template_version = (
            f"{_PROMPT.version}.{catalog.version}.{max_new_criteria}.{count.least}-{count.most}"
        )
        self._model = model
        self._records = records
        self._sampling = sampling
        self._max_new = max_new_criteria
        self._count = count
        self._system_values: Mapping[str, object] = {
            "criteria": [
                {"name": quote_inline(item.name), "good": quote_inline(item.good, limit=MAX_GOOD)}
                for item in catalog.criteria
            ],
            "max_new": max_new_criteria,
            "most": count.most,
        }
        self._known: dict[SelectionKey, Selection] = {}
        self._calls: SharedCalls[SelectionKey, Selection] = SharedCalls()

    @property
    @override
    def model_name(self) -> str:
        return self._model.name

    @property
    @override
    def template_version(self) -> str:
        """Version of the meta-prompt, the catalogue, and how many criteria, and new ones, are allowed."""
        return self._template_version

    @property
    @override
    def catalogue_version(self) -> str:
        return self.catalog.version

    @override
    async def select(self, query: Query, *, seed: int) -> Selection:
        """The criteria for ``query``.

        A reply that cannot be read, also after a repair request, or a refusal of this query gives the
        catalogue's fallback set, marked as such. A choice of too few criteria is completed from that set.

        Args:
            query: what was asked; its text alone decides.
            seed: seed of the call, where one is made.

        Raises:
            ModelError: the selector cannot be reached.
            BudgetExceededError: no call left.
        """
        key = self._key(query)
        known = self._known.get(key)
        if known is not None:
            return known
        return await self._calls.run(key, lambda: self._find(key, query, seed))

    async def _find(self, key: SelectionKey, query: Query, seed: int) -> Selection:
        selection = await self._recall(key)
        if selection is None:
            selection = await self._keep(key, await self._ask(query, seed))
            if selection.source is SelectionSource.FALLBACK:
                return selection
        self._known[key] = selection
        return selection

    async def _recall(self, key: SelectionKey) -> Selection | None:
        kept = None if self._records is None else await self._records.get(key)
        return None if kept is None else selection_from_json(kept, key)

    async def _keep(self, key: SelectionKey, selection: Selection) -> Selection:
        if self._records is None:
            return selection
        kept = await self._records.put(key, selection_to_json(selection), selection.source)
        return selection_from_json(kept, key) or selection

    async def _ask(self, query: Query, seed: int) -> Selection:
        request = CompletionRequest(
            prompt=self._messages(query), sampling=self._sampling, seed=seed, output=_OUTPUT
        )
        try:
            (reading,) = await ask(self._model, request, self._read)
        except MisconfiguredError:
            raise
        except RequestRefusedError:
            return self._fallback()
        return self._fallback() if isinstance(reading, Failure) else self._selected(reading)

    def _read(self, reply: JsonObject) -> SelectionReading:
        return read_selection(reply, self.catalog, max_new=self._max_new, most=self._count.most)

    def _messages(self, query: Query) -> tuple[Message, Message]:
        return _PROMPT.messages(system=self._system_values, user={"query": quote(query.text)})

    def _selected(self, reading: SelectionReading) -> Selection:
        criteria = reading.criteria
        missing = self._count.least - len(criteria)
        if missing > 0:
            others = [item for item in self.catalog.fallback if item not in criteria]
            criteria = (*criteria, *others[:missing])
        return self._selection(criteria, reading.rationale, SelectionSource.SELECTED)

    def _fallback(self) -> Selection:
        return self._selection(self.catalog.fallback, _FALLBACK_RATIONALE, SelectionSource.FALLBACK)

    def _selection(self, criteria: Sequence[Criterion], rationale: str, source: SelectionSource) -> Selection:
        return Selection(
            criteria=tuple(criteria),
            rationale=rationale,
            source=source,
            selector_model=self.model_name,
            template_version=self.template_version,
        )

    def _key(self, query: Query) -> SelectionKey:
        return SelectionKey(
            query_sha256=query_sha256(query.text),
            selector_model=self.model_name,
            template_version=self.template_version,
        )


def query_sha256(text: str) -> str:
    """What a query's text is called in the key of its selection: its SHA-256, 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
