"""Which prompt version serves a model: labels and versions, in memory."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from app.errors import SERVER_ERROR, ApiError, ErrorAnswer
from app.retrieval import Nearest, RetrievalSpec, Retrievers, ServingRetriever
from app.serving_settings import ChatSettings
from app.stored_examples import example_from_json
from app.telemetry.current import timed
from app.telemetry.timing import Part
from optimizer.shared_calls import SharedCalls
from optimizer.types import Example
from store.errors import StoreUnavailableError
from store.records.prompts import PromptVersionRecord
from store.repositories.prompts import PromptRepository

PRODUCTION = "production"

_LOGGER = logging.getLogger(__name__)
_PATIENCE_SECONDS = 2.0
"""How long a request waits for new labels while there are older ones to go on with."""
_RETRY_SECONDS = 5.0
"""What a client is told to wait for whose labels are too old."""
_MOST_NUMBERS = 4096
"""Of versions whose ids are held in memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedPrompt:
    """A prompt version, ready to serve.

    Attributes:
        version: the stored version.
        examples: its example bank; empty for none.
        retriever: finds the nearest of them.
    """

    version: PromptVersionRecord
    examples: tuple[Example, ...]
    retriever: ServingRetriever

    async def nearest(self, query: str, k: int | None = None) -> Nearest:
        """The ``k`` examples to show with ``query``, most similar first; by default the version's own k."""
        return await self.retriever.nearest(query, self.version.k if k is None else k)


@dataclass(slots=True)
class _Shelf:
    """What is known about one model.

    Attributes:
        pointers: label to version id; None before the first reading.
        served: label to the version that was served under it last.
        read_at / tried_at: clock when the last good reading began, and when any was tried last.
        behind_since: label to the clock when it was found to point to a version that cannot be read.
        epoch / read_epoch: counts invalidations; the one that ``pointers`` were read in.
        reading: whether a reading is under way.
    """

    pointers: Mapping[str, str] | None = None
    served: dict[str, ServedPrompt] = field(default_factory=dict)
    read_at: float = 0.0
    tried_at: float = 0.0
    behind_since: dict[str, float] = field(default_factory=dict)
    epoch: int = 0
    read_epoch: int = -1
    reading: bool = False


class LabelledPrompts:
    """Labels and versions, held in memory so that a chat request rarely waits for the database.

    A model's labels are read again once they are ``refresh_seconds`` old: by one request, while others are
    served from the old ones. While the database is down the last known labels and their versions go on being
    served, for ``max_stale_seconds`` at most, and every failed reading is logged. Versions never change; the
    most recently used ones are kept.
    """

    def __init__(
        self,
        prompts: PromptRepository,
        retrievers: Retrievers,
        settings: ChatSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        capacity: int = 64,
    ) -> None:
        """Nothing is read yet.

        Args:
            prompts: where labels and versions are stored.
            retrievers: opens what finds a version's examples.
            settings: from which age on labels are read again, and from which they are not served any more.
            clock: monotonic seconds.
            capacity: versions kept besides those that labels point to; at least 1.
        """
        self._prompts = prompts
        self._retrievers = retrievers
        self._refresh_seconds = settings.refresh_seconds
        self._max_stale_seconds = settings.max_stale_seconds
        self._clock = clock
        self._capacity = capacity
        self._shelves: dict[str, _Shelf] = {}
        self._versions: OrderedDict[str, ServedPrompt] = OrderedDict()
        self._numbered: dict[tuple[str, int], str] = {}
        self._readings: SharedCalls[tuple[str, int], None] = SharedCalls()
        self._loads: SharedCalls[str, ServedPrompt] = SharedCalls()

    async def current(self, model: str, label: str = PRODUCTION) -> ServedPrompt | None:
        """The version of ``model`` that ``label`` points to, or None.

        Args:
            model: a configured target: what is known about a model is never forgotten.
            label: the label's name.

        Raises:
            StoreUnavailableError: the database is down, and this was never asked before.
            ApiError: 503, what is known is too old to be served.
        """
        shelf = self._shelves.get(model)
        if shelf is None:
            shelf = self._shelves[model] = _Shelf()
        await self._refresh(model, shelf)
        if self._is_stale(shelf):
            raise labels_too_old(model, self._max_stale_seconds)
        wanted = (shelf.pointers or {}).get(label)
        if wanted is None:
            shelf.served.pop(label, None)
            shelf.behind_since.pop(label, None)
            return None
        held = shelf.served.get(label)
        if held is not None and held.version.id == wanted:
            shelf.behind_since.pop(label, None)
            return held
        try:
            served = await self.version(wanted)
        except StoreUnavailableError:
            if held is None:
                raise
            if self._clock() - shelf.behind_since.setdefault(label, self._clock()) > self._max_stale_seconds:
                raise labels_too_old(model, self._max_stale_seconds) from None
            _LOGGER.warning("%s of %s stays at %s: %s cannot be read", label, model, held.version.id, wanted)
            return held
        shelf.served[label] = served
        shelf.behind_since.pop(label, None)
        return served

    async def version(self, version_id: str) -> ServedPrompt:
        """The version ``version_id``, of any model.

        Raises:
            NotFoundError: there is none.
            StoreUnavailableError: it is not in memory, and the database is down.
        """
        known = self._versions.get(version_id)
        if known is not None:
            self._versions.move_to_end(version_id)
            return known
        with timed(Part.STORE):
            return await self._loads.run(version_id, partial(self._load, version_id))

    async def numbered(self, model: str, number: int) -> ServedPrompt:
        """Version ``number`` of ``model``.

        Raises:
            NotFoundError: there is none.
            StoreUnavailableError: it is not in memory, and the database is down.
        """
        known = self._numbered.get((model, number))
        if known is None:
            with timed(Part.STORE):
                known = await self._prompts.version_id(model, number)
            if len(self._numbered) >= _MOST_NUMBERS:
                self._numbered.clear()
            self._numbered[model, number] = known
        return await self.version(known)

    def invalidate(self, model: str) -> None:
        """Read the labels of ``model`` before they are used again: one of them was moved."""
        shelf = self._shelves.get(model)
        if shelf is not None:
            shelf.epoch += 1

    def _is_stale(self, shelf: _Shelf) -> bool:
        return self._clock() - shelf.read_at > self._max_stale_seconds

    async def _refresh(self, model: str, shelf: _Shelf) -> None:
        if shelf.read_epoch == shelf.epoch:
            if self._clock() - shelf.tried_at < self._refresh_seconds:
                return
            if shelf.reading and not self._is_stale(shelf):
                return
        # An epoch of its own: a reading that began before a label moved may not have seen the move.
        with timed(Part.STORE):
            await self._readings.run((model, shelf.epoch), partial(self._read, model, shelf))

    async def _read(self, model: str, shelf: _Shelf) -> None:
        epoch, began = shelf.epoch, self._clock()
        shelf.reading = True
        is_first = shelf.pointers is None
        try:
            async with asyncio.timeout(None if is_first else _PATIENCE_SECONDS):
                labels = await self._prompts.labels(model)
        except (StoreUnavailableError, TimeoutError) as error:
            if is_first:
                raise
            _LOGGER.warning("the labels of %s cannot be read, those of earlier stay: %s", model, error)
            if epoch >= shelf.read_epoch:
                shelf.tried_at, shelf.read_epoch = self._clock(), epoch
            return
        finally:
            shelf.reading = False
        if epoch >= shelf.read_epoch:
            shelf.pointers = {record.label: record.version_id for record in labels}
            shelf.read_at = shelf.tried_at = began
            shelf.read_epoch = epoch

    async def _load(self, version_id: str) -> ServedPrompt:
        version = await self._prompts.get_version(version_id)
        bank = version.example_bank_id
        stored = await self._prompts.example_bank(bank) if bank is not None else ()
        examples = tuple(example_from_json(item) for item in stored)
        served = ServedPrompt(
            version=version,
            examples=examples,
            retriever=await self._retrievers.for_serving(
                RetrievalSpec.from_version(version.retrieval), examples
            ),
        )
        self._versions[version_id] = served
        if len(self._versions) > self._capacity:
            self._versions.popitem(last=False)
        return served


def labels_too_old(model: str, seconds: float) -> ApiError:
    """The 503 for a model whose labels could not be read for ``seconds``."""
    return ApiError(
        ErrorAnswer(
            status=503,
            message=f"the labels of {model} could not be read for more than {seconds:g} s "
            "(chat.max_stale_seconds), so nobody knows which prompt is to be served; try again, or name a "
            "version with drpo.prompt_version",
            type=SERVER_ERROR,
            code="labels_stale",
            retry_after=_RETRY_SECONDS,
        )
    )
