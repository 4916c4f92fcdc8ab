"""A job that takes its first rounds from the record of another one, and goes on anew."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from typing_extensions import override

from app.jobs.decisions import Decisions
from app.jobs.records import ReplayedCalls
from app.jobs.spec import RestartSpec
from app.llm.fresh_draws import Draws
from app.llm.ledger import EarlierCalls
from app.llm.recording import call_key
from optimizer.events import RoundFinished, SearchEvent
from optimizer.protocols import SearchObserver
from optimizer.types import CompletionRequest, JsonObject
from store.calls import LedgerScope
from store.repositories.recorded_calls import RecordedCalls

_PLANNED_ANEW = 1
"""In place of the fingerprint of limits: whatever they are, they are others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beginning:
    """The part of another job that this one takes over."""

    spec: RestartSpec
    record: RecordedCalls
    draws: Draws

    def calls(self, scope: LedgerScope) -> "TakenCalls":
        """Its answers, for the ledger ``scope``."""
        return TakenCalls(self, scope)

    def decisions(self, recorded: Mapping[str, int], record: Callable[[str, int], None]) -> "DecisionsAfter":
        """Its decisions, then those of this job."""
        return DecisionsAfter(self, recorded, record)


class TakenCalls(EarlierCalls):
    """Answers of the other job, as long as its rounds are repeated."""

    def __init__(self, beginning: Beginning, scope: LedgerScope) -> None:
        """Those of ``beginning``; they are put on record in ``scope``."""
        self._beginning = beginning
        self._calls = ReplayedCalls(beginning.record)
        self._scope = scope

    @override
    def take(self, key: str, request: CompletionRequest, *, role: str, model: str) -> None:
        if self._beginning.draws.all_begun:
            return
        backend, _, name = model.partition("/")
        source = self._beginning.spec.of
        found = self._calls.find(call_key(request, scope=source, backend=backend, model=name))
        if found is not None:
            self._scope.adopt(key, found.response, role=role, model=model)


class DecisionsAfter(Decisions):
    """Decisions of the other job as long as its rounds are repeated, then this job's own.

    What is repeated is recorded as this job's, so that whoever reads its record needs no other.
    """

    def __init__(
        self,
        beginning: Beginning,
        recorded: Mapping[str, int],
        record: Callable[[str, int], None],
    ) -> None:
        """Those of ``beginning``, then those ``recorded`` by this job; see ``Decisions``."""
        super().__init__(recorded, record)
        self._beginning = beginning
        self._source = Decisions(beginning.record.decisions, _never)

    @property
    def _repeats(self) -> bool:
        return not self._beginning.draws.all_begun

    @override
    def began(self, asked: int) -> bool:
        return super().began(asked) or (self._repeats and self._source.began(asked))

    @override
    def refused(self, asked: int) -> bool:
        if not super().refused(asked) and self._repeats and self._source.refused(asked):
            self.refuse_round(asked)
        return super().refused(asked)

    @override
    def is_known(self, asked: int) -> bool:
        return super().is_known(asked) or (self._repeats and self._source.is_known(asked))

    @override
    def changed(self, asked: int) -> bool:
        if not super().changed(asked) and self._repeats and self._source.changed(asked):
            self.note_change(asked)
        return super().changed(asked)

    @override
    def forecast(self, asked: int, calls: int | None, *, by: int = 0) -> int | None:
        if self._repeats and self._source.has_forecast(asked):
            calls = self._source.forecast(asked, calls)
            by = _PLANNED_ANEW if self._beginning.spec.plans_anew else 0
        return super().forecast(asked, calls, by=by)


class RoundWatch(SearchObserver):
    """Tells ``draws`` of each round that ends, after the recorder has heard of it."""

    def __init__(self, recorder: SearchObserver, draws: Draws) -> None:
        """In front of ``recorder``."""
        self._recorder = recorder
        self._draws = draws

    @override
    async def notify(self, event: SearchEvent) -> None:
        await self._recorder.notify(event)
        if isinstance(event, RoundFinished):
            self._draws.finish_round(event.round)


def new_restart(of: str, before: RestartSpec | None, *, from_round: int, plans_anew: bool) -> RestartSpec:
    """A restart of the job ``of``, which may be one itself, from ``from_round`` on."""
    kept = () if before is None else tuple(item for item in before.draws if item[0] < from_round)
    draws = (*kept, (from_round, secrets.randbits(31)))
    return RestartSpec(of=of, from_round=from_round, plans_anew=plans_anew, draws=draws)


def describe_restart(spec: RestartSpec, taken: int) -> JsonObject:
    """What was taken from where, as the result says it."""
    return {"of": spec.of, "from_round": spec.from_round, "taken": taken}


def _never(_name: str, _value: int) -> None:
    """The other job decides nothing any more."""
