"""A job's own scorer with everything around it that a run needs: ledger, retries, concurrency, budget."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.llm.budgeted import BudgetedModel, waiting_within
from app.llm.concurrency import ConcurrencyLimitedModel
from app.llm.http_scorer import BACKEND, HttpScorerModel, ScorerPlace
from app.llm.ledger import LedgeredModel
from app.llm.limits.limiter import BackendLimiter
from app.llm.metering import MeteredModel
from app.llm.permitted import PermittedModel
from app.llm.prices import CallsOnly
from app.llm.retry import RetryingModel, Sleep
from app.llm.run_context import RunContext
from app.reward_settings import RewardSettings
from optimizer.protocols import ChatModel
from optimizer.seeds import derive_seed
from optimizer.types import ModelRole


@asynccontextmanager
async def open_scorer(
    place: ScorerPlace, run: RunContext, settings: RewardSettings, *, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[ChatModel]:
    """The scorer at ``place``, for as long as the block lasts.

    Its calls are calls of the run: looked up in the ledger first, counted in the budget, each retry too.

    Args:
        place: where it is.
        run: whose budget, meter and ledger it uses.
        settings: how many requests at once, and how patiently.
        sleep: how to wait between retries.
    """
    role, price = ModelRole.SCORER, CallsOnly()
    scorer = HttpScorerModel(place, clock=time.monotonic)
    try:
        model: ChatModel = MeteredModel(scorer, run.meter, role=role, price=price, clock=time.monotonic)
        model = PermittedModel(model, run.permit)
        model = BudgetedModel(model, run.budget, price)
        limiter = BackendLimiter(settings.http_max_concurrency)
        model = ConcurrencyLimitedModel(model, limiter, job=run.scope, budget=run.budget, price=price)
        model = RetryingModel(
            model,
            settings.http_retries,
            seed=derive_seed(run.seed, "retry", role),
            sleep=waiting_within(run.budget, sleep),
        )
        if run.ledger is not None:
            model = LedgeredModel(
                model, run.ledger, backend=BACKEND, model_id=place.url, role=role, price=price
            )
        yield model
    finally:
        await scorer.aclose()
