from collections.abc import AsyncIterator

import pytest
from typing_extensions import override

from app.llm.limits.limiter import NO_RATES, BackendLimiter
from app.llm.limits.rates import Rates
from tests.app.llm.limits.observed import Meeting
from tests.app.llm.scripted import settle
from tests.contracts.backend_limiter import BackendLimiterContract, Group


class Alone(Group):
    """One process."""

    @override
    def open(self, count: int, maximum: int, rates: Rates = NO_RATES) -> list[BackendLimiter]:
        return [BackendLimiter(maximum, rates=rates)] * count

    @override
    async def hear(self, *limiters: BackendLimiter) -> None:
        await settle()


class TestInOneProcess(BackendLimiterContract):
    @pytest.fixture
    def group(self) -> Group:
        return Alone()


class TestOverSeveral(BackendLimiterContract):
    @pytest.fixture
    async def group(self, redis_url: str) -> AsyncIterator[Group]:
        meeting = Meeting(redis_url)
        yield meeting
        await meeting.aclose()
