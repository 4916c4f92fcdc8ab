"""Everything that a process opens, once: the store, the models, the runner of jobs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from app.jobs.banks.run import BankRun
from app.jobs.kinds import JobRuns
from app.jobs.local import LocalRunner
from app.jobs.records import StoredCapabilities
from app.jobs.run import JobStore, OptimizationRun
from app.jobs.sweeper import LedgerSweeper
from app.jobs.worker import JobWorker, WorkerStore
from app.labelled_prompts import LabelledPrompts
from app.llm.registry import ModelRegistry
from app.retrieval import Retrievers
from app.settings import JobSettings, Settings
from optimizer.errors import InvalidInputError
from rewards.catalog import CriteriaCatalog
from store.calls import CallLedger
from store.connections import Database
from store.hint_listener import HintListener
from store.progress import ProgressLog
from store.repositories.call_retention import CallRetention
from store.repositories.capabilities import CapabilityRepository
from store.repositories.datasets import DatasetRepository
from store.repositories.embeddings import EmbeddingRepository
from store.repositories.example_answers import ExampleAnswerRepository
from store.repositories.optimizations import OptimizationRepository
from store.repositories.prompts import PromptRepository
from store.repositories.search_tree import SearchTreeRepository
from store.repositories.selections import SelectionRepository
from store.repositories.spends import SpendRepository
from store.schema import is_current, upgrade
from store.wakeups import Wakeups


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What endpoints and jobs work with."""

    settings: Settings
    database: Database
    models: ModelRegistry
    optimizations: OptimizationRepository
    tree: SearchTreeRepository
    answers: ExampleAnswerRepository
    spends: SpendRepository
    retention: CallRetention
    progress: ProgressLog
    prompts: PromptRepository
    datasets: DatasetRepository
    labelled: LabelledPrompts
    runner: LocalRunner


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open everything, in the order in which it depends on each other; close it in reverse.

    Raises:
        InvalidInputError: the settings, the schema, or another process on the same file stand in the way.
    """
    async with AsyncExitStack() as stack:
        database = await _open_database(settings, stack)
        models = ModelRegistry(
            settings, capability_records=StoredCapabilities(CapabilityRepository(database))
        )
        stack.push_async_callback(models.aclose)
        ledger = await stack.enter_async_context(CallLedger(database))
        progress = ProgressLog(database)
        prompts = PromptRepository(database)
        datasets = DatasetRepository(database)
        optimizations = OptimizationRepository(database)
        retrievers = Retrievers(models, EmbeddingRepository(database), settings.retrieval)
        labelled = LabelledPrompts(prompts, retrievers, refresh_seconds=settings.chat.refresh_seconds)
        job_store = JobStore(
            ledger=ledger,
            progress=progress,
            datasets=datasets,
            prompts=prompts,
            selections=SelectionRepository(database),
        )
        worker = JobWorker(
            WorkerStore(database=database, optimizations=optimizations, prompts=prompts),
            _runs(job_store, models, retrievers),
            lease_seconds=settings.jobs.lease_seconds,
            on_label_moved=labelled.invalidate,
        )
        await stack.enter_async_context(HintListener(database))
        runner = await stack.enter_async_context(
            _runner(settings.jobs, optimizations, worker, database.wakeups)
        )
        retention = CallRetention(database)
        await stack.enter_async_context(LedgerSweeper(retention, optimizations, settings.ledger))
        yield Resources(
            settings=settings,
            database=database,
            models=models,
            optimizations=optimizations,
            tree=SearchTreeRepository(database),
            answers=ExampleAnswerRepository(database),
            spends=SpendRepository(database),
            retention=retention,
            progress=progress,
            prompts=prompts,
            datasets=datasets,
            labelled=labelled,
            runner=runner,
        )


def _runs(store: JobStore, models: ModelRegistry, retrievers: Retrievers) -> JobRuns:
    catalog = CriteriaCatalog.load()
    return JobRuns(OptimizationRun(store, models, catalog, retrievers), BankRun(store, models, catalog))


def _runner(
    settings: JobSettings, optimizations: OptimizationRepository, worker: JobWorker, wakeups: Wakeups
) -> LocalRunner:
    return LocalRunner(
        optimizations,
        worker,
        wakeups,
        max_running=settings.max_running,
        lease_seconds=settings.lease_seconds,
        poll_seconds=settings.poll_seconds,
    )


async def _open_database(settings: Settings, stack: AsyncExitStack) -> Database:
    """The database with a current schema; an SQLite file is locked for this process and upgraded."""
    url = settings.database.url
    try:
        database = Database(url)
    except ValueError as error:
        raise InvalidInputError(f"database.url: {error}", param="database.url") from error
    stack.push_async_callback(database.close)
    if database.lock_path is not None:
        _lock(database.lock_path, stack)
        await upgrade(url)
        # whoever ran a job on this file is dead, or the lock would not be ours
        await OptimizationRepository(database).expire_leases()
    elif not await is_current(database):
        raise InvalidInputError("the database schema is not up to date: run 'drpo migrate'")
    return database


def _lock(path: Path, stack: AsyncExitStack) -> None:
    if not path.parent.is_dir():  # the lock would make it: of a misspelt one, too
        raise InvalidInputError(
            f"database.url: there is no folder {path.parent}: make it, or name another file",
            param="database.url",
        )
    lock = FileLock(str(path))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InvalidInputError(
            f"another process serves the database file beside {path}: stop it, talk to it "
            "with --url, or set database.url to another file (or to PostgreSQL, which many can share)",
            param="database.url",
        ) from None
    stack.callback(lock.release)
