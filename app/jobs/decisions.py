"""What attempts at a job decide by its budget: on record before any call is made because of it."""

from collections.abc import Callable, Mapping

from optimizer.estimate import GateSize

_ROUNDS, _SEARCH_ENDED, _HELD_OUT, _REFUSED_BY = "rounds", "search_ended", "held_out", "refused_by"
_FORECAST, _UNLIMITED = "forecast:", -1
_REFUSED, _CHANGED, _FORECAST_BY = "refused:", "changed:", "forecast_by:"
_FINALISTS, _WITH_SEED_PROMPT, _JUDGED_AGAIN = "finalists", "with_seed_prompt", "judged_again"
_LIMITS = ("calls", "tokens", "cost", "seconds")


class Decisions:
    """Decisions that a later attempt repeats.

    What it knows to be spent holds failed calls and the criteria of rounds that are still to come, by which
    it might decide otherwise.

    Attributes:
        rounds: rounds that earlier attempts have begun.
        search_ended: whether an earlier attempt decided that no further one does.
        gate: how much the gate of an earlier attempt compared; None where it has not begun.
        refused_by: the limit that first refused a call; None where none did.
    """

    def __init__(self, recorded: Mapping[str, int], record: Callable[[str, int], None]) -> None:
        """``recorded`` by earlier attempts; ``record`` has a new one on record before any later call is."""
        self.rounds = recorded.get(_ROUNDS, 0)
        self.search_ended = _SEARCH_ENDED in recorded
        self.gate = _read_gate(recorded)
        refused_by = recorded.get(_REFUSED_BY)
        self.refused_by = None if refused_by is None else _LIMITS[refused_by]
        self._forecasts = _numbered(recorded, _FORECAST)
        self._forecast_by = _numbered(recorded, _FORECAST_BY)
        self._refused = _numbered(recorded, _REFUSED)
        self._changed = _numbered(recorded, _CHANGED)
        self._record = record

    def began(self, asked: int) -> bool:
        """Whether an earlier attempt went on when the search asked for the ``asked``-th time."""
        return asked <= self.rounds

    def begin_round(self, rounds: int) -> None:
        """The round begins that makes it ``rounds`` of them."""
        if rounds > self.rounds:
            self._record(_ROUNDS, rounds)

    def refused(self, asked: int) -> bool:
        """Whether an earlier attempt began nothing when the search asked for the ``asked``-th time."""
        return asked in self._refused

    def refuse_round(self, asked: int) -> None:
        """Nothing begins although the search has asked for it; with other limits a later one may."""
        if asked not in self._refused:
            self._refused[asked] = 1
            self._record(f"{_REFUSED}{asked}", 1)

    def is_known(self, asked: int) -> bool:
        """Whether an earlier attempt has come as far as to ask for the ``asked``-th time."""
        return asked <= max(self.rounds, *self._refused, *self._changed, 0)

    def changed(self, asked: int) -> bool:
        """Whether an earlier attempt found other limits before it asked for the ``asked``-th time."""
        return asked in self._changed

    def note_change(self, asked: int) -> None:
        """Before the search asks for the ``asked``-th time there are other limits, by which it plans anew."""
        self._changed[asked] = 1
        self._record(f"{_CHANGED}{asked}", 1)

    def end_search(self) -> None:
        """No further round begins."""
        if not self.search_ended:
            self._record(_SEARCH_ENDED, 1)

    def compare(self, size: GateSize) -> None:
        """The gate compares so much."""
        if self.gate is None:
            self._record(_FINALISTS, size.finalists)
            self._record(_WITH_SEED_PROMPT, int(size.with_seed_prompt))
            self._record(_JUDGED_AGAIN, size.judged_again)
            self._record(_HELD_OUT, size.queries)  # the last one: with it the decision is complete

    def has_forecast(self, asked: int) -> bool:
        """Whether an earlier attempt has planned as often as that."""
        return asked in self._forecasts

    def forecast(self, asked: int, calls: int | None, *, by: int = 0) -> int | None:
        """The calls that the search plans with when it asks for the ``asked``-th time; None for no limit.

        ``calls`` is what this attempt would say under the limits ``by``; what an earlier one has said goes
        before it.
        """
        recorded = self._forecasts.get(asked)
        if recorded is None:
            recorded = _UNLIMITED if calls is None else calls
            self._forecasts[asked] = recorded
            if by:
                self._forecast_by[asked] = by
                self._record(f"{_FORECAST_BY}{asked}", by)
            self._record(f"{_FORECAST}{asked}", recorded)
        return None if recorded == _UNLIMITED else recorded

    def forecast_by(self, asked: int) -> int:
        """The limits by which that was answered; 0 where nobody had changed them."""
        return self._forecast_by.get(asked, 0)

    def note_refusal(self, limit: str | None) -> None:
        """The budget has refused a call by ``limit``: a replay ends there, too."""
        if limit is not None and self.refused_by is None:
            self._record(_REFUSED_BY, _LIMITS.index(limit))


def _numbered(recorded: Mapping[str, int], prefix: str) -> dict[int, int]:
    return {
        int(name.removeprefix(prefix)): value for name, value in recorded.items() if name.startswith(prefix)
    }


def _read_gate(recorded: Mapping[str, int]) -> GateSize | None:
    queries = recorded.get(_HELD_OUT)
    if queries is None:
        return None
    return GateSize(
        queries=queries,
        finalists=recorded.get(_FINALISTS, 1),
        with_seed_prompt=bool(recorded.get(_WITH_SEED_PROMPT, 0)),
        judged_again=recorded.get(_JUDGED_AGAIN, 0),
    )
