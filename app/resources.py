"""Everything that a process opens, once: the store, the models, the runner of jobs."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.access.opened import Access, open_access
from app.answer_cache.cache import AnswerCache
from app.answer_cache.opening import open_answer_cache
from app.background import BackgroundLoop
from app.database import open_database
from app.job_settings import JobSettings
from app.jobs.backend_pauses import BackendProbes
from app.jobs.banks.run import BankRun
from app.jobs.control import JobControl
from app.jobs.event_feed import EventFeeds
from app.jobs.kinds import JobRuns
from app.jobs.local import LocalRunner
from app.jobs.records import StoredCapabilities
from app.jobs.run import JobStore, OptimizationRun
from app.jobs.sweeper import LedgerSweeper
from app.jobs.worker import JobWorker, WorkerStore
from app.labelled_prompts import LabelledPrompts
from app.llm.limits.meeting import open_meeting
from app.llm.limits.opening import own_limiters
from app.llm.liveness import BackendLiveness
from app.llm.registry import ModelRegistry
from app.notifications.parts import Webhooks, open_webhooks
from app.observation import Observation
from app.outcomes import OutcomeFeed
from app.release_control.parts import ReleaseControl, open_release_control
from app.retrieval import Retrievers
from app.settings import Settings
from app.traffic import TrafficCounter
from app.vllm.supervised import SupervisedVllm
from rewards.catalog import packaged_catalog
from store.calls import CallLedger
from store.connections import Database
from store.hint_listener import HintListener
from store.progress import ProgressLog
from store.records.optimizations import JobKind
from store.repositories.call_retention import CallRetention
from store.repositories.capabilities import CapabilityRepository
from store.repositories.datasets import DatasetRepository
from store.repositories.embeddings import EmbeddingRepository
from store.repositories.example_answers import ExampleAnswerRepository
from store.repositories.job_deletion import JobDeletion
from store.repositories.optimizations import OptimizationRepository
from store.repositories.prompts import PromptRepository
from store.repositories.recorded_calls import RecordedCallsRepository
from store.repositories.search_tree import SearchTreeRepository
from store.repositories.selections import SelectionRepository
from store.repositories.spends import SpendRepository
from store.repositories.traffic import TrafficRepository
from store.repositories.vector_retention import VectorRetention

if TYPE_CHECKING:
    from app.llm.limits.redis_exchange import RedisMeeting


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What endpoints and jobs work with; ``vllm`` is the server that this process has started, if it has."""

    settings: Settings
    database: Database
    meeting: "RedisMeeting | None"
    models: ModelRegistry
    optimizations: OptimizationRepository
    tree: SearchTreeRepository
    answers: ExampleAnswerRepository
    spends: SpendRepository
    retention: CallRetention
    deletion: JobDeletion
    recorded: RecordedCallsRepository
    progress: ProgressLog
    feeds: EventFeeds
    prompts: PromptRepository
    datasets: DatasetRepository
    labelled: LabelledPrompts
    access: Access
    kept_answers: AnswerCache | None
    outcomes: OutcomeFeed
    observation: Observation
    runner: LocalRunner
    webhooks: Webhooks
    release_control: ReleaseControl
    vllm: SupervisedVllm | None = None

    def control(self, kind: JobKind) -> JobControl:
        """What people may ask of jobs of ``kind``."""
        return JobControl(self.optimizations, self.deletion, self.retention, kind=kind)


@asynccontextmanager
async def open_resources(
    settings: Settings, *, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Resources]:
    """Open everything, in the order in which it depends on each other; close it in reverse.

    ``clock`` gives monotonic seconds, for how backends are asked.

    Raises:
        InvalidInputError: the settings, the schema, or another process on the same file stand in the way.
    """
    async with AsyncExitStack() as stack:
        database = await open_database(settings, stack)
        meeting = await open_meeting(settings.redis, stack)
        observation = await stack.enter_async_context(aclosing(Observation(settings)))
        progress, outcomes = ProgressLog(database), OutcomeFeed()
        models = await _models(settings, database, meeting, observation, stack, clock)
        stores = _stores(database, await stack.enter_async_context(CallLedger(database)), progress)
        optimizations = OptimizationRepository(database)
        retrievers = Retrievers(models, EmbeddingRepository(database), settings.retrieval)
        labelled = LabelledPrompts(stores.prompts, retrievers, settings.chat)
        runner = _runner(database, stores.prompts, _runs(stores, models, retrievers), settings.jobs, labelled)
        for background in (*_housekeeping(database, optimizations, outcomes, models, settings), runner):
            await stack.enter_async_context(background)
        access = await stack.enter_async_context(open_access(database, settings, outcomes, meeting))
        observation.watch(database, models, outcomes, runner=runner, usage=access.recorder)
        yield Resources(
            settings=settings,
            database=database,
            meeting=meeting,
            models=models,
            optimizations=optimizations,
            tree=SearchTreeRepository(database),
            answers=ExampleAnswerRepository(database),
            spends=SpendRepository(database),
            retention=CallRetention(database),
            deletion=JobDeletion(database),
            recorded=RecordedCallsRepository(database),
            progress=progress,
            feeds=EventFeeds(optimizations, progress),
            prompts=stores.prompts,
            datasets=stores.datasets,
            labelled=labelled,
            access=access,
            kept_answers=_kept_answers(settings, meeting, stack),
            outcomes=outcomes,
            observation=observation,
            runner=runner,
            webhooks=await stack.enter_async_context(open_webhooks(database, settings.webhooks)),
            release_control=await _release_control(database, settings, outcomes, labelled, stack),
        )


def _housekeeping(
    database: Database,
    optimizations: OptimizationRepository,
    outcomes: OutcomeFeed,
    models: ModelRegistry,
    settings: Settings,
) -> tuple[HintListener, BackgroundLoop, BackendProbes, BackgroundLoop]:
    sweeper = LedgerSweeper(
        CallRetention(database),
        optimizations,
        settings.ledger,
        deletion=JobDeletion(database),
        vectors=VectorRetention(database),
        keep_jobs_days=settings.jobs.keep_days,
    )
    counter = TrafficCounter(TrafficRepository(database), outcomes)
    probes = BackendProbes(optimizations, BackendLiveness(settings, models.clients()), settings.jobs)
    return HintListener(database), sweeper.in_background(), probes, counter.in_background()


async def _release_control(
    database: Database,
    settings: Settings,
    outcomes: OutcomeFeed,
    labelled: LabelledPrompts,
    stack: AsyncExitStack,
) -> ReleaseControl:
    control = open_release_control(database, settings, outcomes, labelled)
    return await stack.enter_async_context(control)


def _kept_answers(
    settings: Settings, meeting: "RedisMeeting | None", stack: AsyncExitStack
) -> AnswerCache | None:
    answers = open_answer_cache(settings, meeting)
    if answers is not None:
        stack.push_async_callback(answers.aclose)
    return answers


def _stores(database: Database, ledger: CallLedger, progress: ProgressLog) -> JobStore:
    return JobStore(
        ledger=ledger,
        progress=progress,
        datasets=DatasetRepository(database),
        prompts=PromptRepository(database),
        selections=SelectionRepository(database),
    )


async def _models(
    settings: Settings,
    database: Database,
    meeting: "RedisMeeting | None",
    observation: Observation,
    stack: AsyncExitStack,
    clock: Callable[[], float],
) -> ModelRegistry:
    models = ModelRegistry(
        settings,
        capability_records=StoredCapabilities(CapabilityRepository(database)),
        limiters=own_limiters if meeting is None else meeting.limiters(),
        clock=clock,
        observers=observation.calls,
    )
    stack.push_async_callback(models.aclose)
    await models.recall_capabilities()
    return models


def _runner(
    database: Database,
    prompts: PromptRepository,
    runs: JobRuns,
    settings: JobSettings,
    labelled: LabelledPrompts,
) -> LocalRunner:
    store = WorkerStore(optimizations=OptimizationRepository(database), prompts=prompts)
    worker = JobWorker(store, runs, settings=settings, on_label_moved=labelled.invalidate)
    return LocalRunner(store.optimizations, worker, database.wakeups, settings)


def _runs(store: JobStore, models: ModelRegistry, retrievers: Retrievers) -> JobRuns:
    catalog = packaged_catalog()
    prompts = OptimizationRun(store, models, catalog, retrievers)
    return JobRuns(prompts, BankRun(store, models, catalog), models.tracing)
