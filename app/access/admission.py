"""Letting requests for models in: by the key's rates and quotas before the call, by what was used after."""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.access.estimates import Bound, SizedRequest, likely_tokens, uncounted
from app.access.key_limits import KeyLimits, Quota
from app.access.principal import Principal
from app.access.quotas import MICROS, QuotaExceededError, QuotaReservation, Quotas
from app.access.rate_headers import rate_headers
from app.access.rates import RateReading, Rates, bounded
from app.errors import ApiError, ErrorAnswer
from app.llm.accounting import spend_without_answer
from app.llm.prices import Price
from app.outcomes import Ending
from optimizer.quick_values import quick
from optimizer.types import Spend, Usage
from store.records.usage import Amounts

_NOTHING = Spend()


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Charge:
    """What a request has cost its key; ``estimated`` where the backend has not counted the tokens."""

    usage: Usage
    micros: int
    estimated: bool


class Admission:
    """One request that was let in, until it is settled.

    Attributes:
        key_number: of the caller's stored key; 0 for none.
        headers: what the answer says about the caller's rates.
    """

    def __init__(
        self,
        desk: "AdmissionDesk",
        principal: Principal,
        price: Price,
        bound: Callable[[], Usage],
        taken_tokens: int,
    ) -> None:
        self.key_number = principal.key_number
        self.headers: dict[str, str] = {}
        self.reservations: list[QuotaReservation] = []
        self._desk = desk
        self._price = price
        self._bound = bound
        self._taken_tokens = taken_tokens
        self._limits = principal.limits
        self._earlier = _NOTHING
        self._estimated = False

    async def grow(self, request: SizedRequest, price: Price) -> None:
        """Take what the request needs more than it was let in with, now that it is as it will be sent.

        Raises:
            ApiError: 429, a quota has no room for it: then the request has to be withdrawn.
            StoreUnavailableError: more has to be drawn from a quota, and the database is away.
        """
        self._price, self._bound = price, self._desk.bound(request)
        if self._taken_tokens:
            tokens = bounded(likely_tokens(self._bound()), self._limits)
            self._desk.settle(self.key_number, (), Amounts(tokens=tokens), self._taken_tokens)
            self._taken_tokens = tokens
        if self._limits.quotas:
            held = sum((item.amounts for item in self.reservations), Amounts())
            need = _need(self._bound(), price, requests=0)
            more = Amounts(tokens=max(0, need.tokens - held.tokens), micros=max(0, need.micros - held.micros))
            if more != Amounts():
                self.reservations.append(
                    await self._desk.reserve(self.key_number, self._limits, more, headers=self.headers)
                )

    def withdraw(self) -> None:
        """Put all back, but for the request that its rate has counted: it is not sent."""
        self._desk.settle(self.key_number, self.reservations, Amounts(), self._taken_tokens)
        self.reservations, self._taken_tokens = [], 0

    async def again(
        self,
        request: SizedRequest,
        price: Price,
        *,
        usage: Usage | None,
        error: BaseException,
        seen_tokens: int,
    ) -> None:
        """Let another attempt at the same request in, which counts as well, but as no request of its own.

        Args:
            request: what is about to be sent to a backend now.
            price: of the model there.
            usage: of the attempt before, as its backend has counted it, where it has.
            error: why that attempt failed.
            seen_tokens: about how many of its answer's tokens had come.

        Raises:
            ApiError: 429, a quota has no room for it; then nothing has changed.
            StoreUnavailableError: more has to be drawn from a quota, and the database is away.
        """
        bound = self._desk.bound(request)
        if self._limits.quotas:
            need = _need(bound(), price, requests=0)
            self.reservations.append(await self._desk.reserve(self.key_number, self._limits, need))
        spend = self._spend("failed", usage, error, seen_tokens)
        self._estimated = self._estimated or (usage is None and spend.tokens > 0)
        self._earlier += spend
        self._price, self._bound = price, bound

    def settle(
        self,
        ending: Ending,
        usage: Usage | None,
        *,
        error: BaseException | None,
        seen_tokens: int,
        beside: Spend = _NOTHING,
    ) -> Charge:
        """Replace what was reserved by what was used. Once a request.

        Args:
            ending: how it ended.
            usage: as the backend has counted it, where it has.
            error: why it failed.
            seen_tokens: about how many of the answer's tokens have come, or have come since it was counted.
            beside: what other models have used for it.
        """
        spend = last = self._spend(ending, usage, error, seen_tokens)
        for more in (self._earlier, beside):
            if more is not _NOTHING:
                spend += more
        micros = _micros(spend.cost)
        if self.reservations or self._taken_tokens:
            # however many attempts it took, its caller has asked once
            used = Amounts(requests=min(1, spend.calls), tokens=spend.tokens, micros=micros)
            self._desk.settle(self.key_number, self.reservations, used, self._taken_tokens)
        counted = Usage(prompt_tokens=spend.prompt_tokens, completion_tokens=spend.completion_tokens)
        estimated = self._estimated or (usage is None and last.tokens > 0)
        return Charge(usage=counted, micros=micros, estimated=estimated)

    def _spend(
        self, ending: Ending, usage: Usage | None, error: BaseException | None, seen_tokens: int
    ) -> Spend:
        if usage is not None:
            later = 0 if ending == "answered" else seen_tokens
            return self._price.spend(usage + Usage(completion_tokens=later) if later else usage)
        if seen_tokens or ending == "answered":
            return self._price.spend(uncounted(self._bound(), seen_tokens))
        bound = self._price.spend(self._bound())
        return bound if error is None else spend_without_answer(error, bound)


class AdmissionDesk:
    """Where requests for models are let in."""

    def __init__(self, rates: Rates, quotas: Quotas, *, assumed_answer: int) -> None:
        """A desk.

        Args:
            rates: of requests and tokens a minute.
            quotas: of requests, tokens and money a period.
            assumed_answer: tokens that an answer without a limit counts as until it is there.
        """
        self._rates = rates
        self._quotas = quotas
        self._assumed_answer = assumed_answer

    async def admit(self, principal: Principal, request: SizedRequest, price: Price) -> Admission:
        """Let a request in, or not.

        Args:
            principal: who asks.
            request: what is about to be sent to the backend.
            price: of the model there.

        Raises:
            ApiError: 429, a rate or a quota is exceeded.
            StoreUnavailableError: more has to be drawn from a quota, and the database is away.
        """
        limits = principal.limits
        bound = self.bound(request)
        is_rated = limits.requests_per_minute is not None or limits.tokens_per_minute is not None
        tokens = bounded(likely_tokens(bound()), limits) if is_rated else 0
        admission = Admission(self, principal, price, bound, tokens)
        if is_rated:
            reading = await self._rates.take(principal.key_number, limits, tokens)
            if not reading.allowed:
                raise ApiError(_too_fast(reading))
            admission.headers = rate_headers(reading)
        if limits.quotas:
            need = _need(bound(), price, requests=1)
            try:
                reserved = await self.reserve(principal.key_number, limits, need, headers=admission.headers)
            except BaseException:
                if is_rated:
                    self._rates.settle(principal.key_number, tokens)
                raise
            admission.reservations.append(reserved)
        return admission

    def bound(self, request: SizedRequest) -> Callable[[], Usage]:
        """Finds out what a request can use at most; without limits it is rarely needed."""
        return Bound(request, assumed_answer=self._assumed_answer)

    async def reserve(
        self, key_number: int, limits: KeyLimits, need: Amounts, *, headers: Mapping[str, str] | None = None
    ) -> QuotaReservation:
        """Take ``need`` from the quotas of a key.

        Args:
            key_number: the key's.
            limits: what it may use.
            need: how much.
            headers: what a refusal says about the key's rates.

        Raises:
            ApiError: 429, one has not enough left.
            StoreUnavailableError: more has to be drawn, and the database is away.
        """
        try:
            return await self._quotas.reserve(key_number, limits, need)
        except QuotaExceededError as error:
            raise ApiError(_used_up(error, headers or {})) from None

    def settle(
        self, key_number: int, reservations: Sequence[QuotaReservation], used: Amounts, taken_tokens: int
    ) -> None:
        """Replace what the attempts at a request have taken by what they have used together."""
        if taken_tokens:
            self._rates.settle(key_number, taken_tokens - used.tokens)
        for place, reservation in enumerate(reservations):
            self._quotas.settle(reservation, Amounts() if place else used)


def _micros(cost: float) -> int:
    """``cost`` in whole millionths, rounded up: but not because of the last digit of a sum."""
    return math.ceil(round(cost * MICROS, 6)) if cost else 0


def _need(most: Usage, price: Price, *, requests: int) -> Amounts:
    micros = _micros(price.spend(most).cost)
    return Amounts(requests=requests, tokens=most.total_tokens, micros=micros)


def _too_fast(reading: RateReading) -> ErrorAnswer:
    levels = (("requests", reading.requests), ("tokens", reading.tokens))
    limited = " and ".join(f"{level.limit:,} {name}" for name, level in levels if level is not None)
    return ErrorAnswer(
        status=429,
        message=f"this API key may use {limited} a minute: try again in {reading.wait_seconds:.1f} s",
        type="rate_limit_error",
        code="rate_limit_exceeded",
        retry_after=reading.wait_seconds,
        headers=rate_headers(reading),
    )


def _used_up(error: QuotaExceededError, headers: Mapping[str, str]) -> ErrorAnswer:
    quota, what = error.quota, "cost" if error.of == "micros" else error.of
    amount = _limit(quota, what)
    span = "in all" if math.isinf(error.ends_at) else f"a {quota.period.value}"
    until = ""
    if not math.isinf(error.ends_at):
        end = dt.datetime.fromtimestamp(error.ends_at, dt.UTC)
        until = f"; it starts again at {end:%Y-%m-%d %H:%M} UTC"
    return ErrorAnswer(
        status=429,
        message=f"this API key's quota of {amount:,} {what} {span} has too little left for this{until}",
        type="insufficient_quota",
        code="insufficient_quota",
        headers=headers,
    )


def _limit(quota: Quota, of: str) -> float:
    found = {"requests": quota.requests, "tokens": quota.tokens, "cost": quota.cost}[of]
    return 0 if found is None else found
