import asyncio
import logging

import pytest
from typing_extensions import override

from app.errors import ApiError
from app.labelled_prompts import LabelledPrompts
from app.llm.registry import ModelRegistry
from app.retrieval import Retrievers
from app.retrieval_settings import RetrievalSettings
from app.serving_settings import ChatSettings
from optimizer.types import Example
from store.connections import Database
from store.errors import NotFoundError, StoreUnavailableError
from store.records.prompts import LabelRecord, PromptVersionRecord
from store.repositories.embeddings import EmbeddingRepository
from store.repositories.prompts import PromptRepository
from tests.app.chat.serving import EXAMPLES, MODEL, add_version, move_label

BY_WORDS = Retrievers(
    ModelRegistry.__new__(ModelRegistry),
    EmbeddingRepository.__new__(EmbeddingRepository),
    RetrievalSettings(),
)
"""No model is asked."""
SETTINGS = ChatSettings(refresh_seconds=5, max_stale_seconds=60)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class WatchedPrompts(PromptRepository):
    """The real repository, which counts, and can be cut off or held up."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.down = False
        self.versions_down = False
        self.gate: asyncio.Event | None = None
        self.label_readings = 0
        self.version_readings = 0
        self.reading = asyncio.Event()

    @override
    async def labels(self, model: str | None = None) -> tuple[LabelRecord, ...]:
        self.label_readings += 1
        if self.down:
            raise StoreUnavailableError("the test took the database away")
        found = await super().labels(model)
        self.reading.set()
        if self.gate is not None:
            await self.gate.wait()
        return found

    @override
    async def get_version(self, version_id: str) -> PromptVersionRecord:
        self.version_readings += 1
        if self.down or self.versions_down:
            raise StoreUnavailableError("the test took the database away")
        return await super().get_version(version_id)


@pytest.fixture
def prompts(database: Database) -> WatchedPrompts:
    return WatchedPrompts(database)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def labelled(prompts: WatchedPrompts, clock: Clock) -> LabelledPrompts:
    return LabelledPrompts(prompts, BY_WORDS, SETTINGS, clock=clock)


async def test_a_model_without_versions_is_served_by_none(labelled: LabelledPrompts) -> None:
    assert await labelled.current(MODEL) is None


async def test_a_label_serves_its_version_with_its_examples(
    prompts: WatchedPrompts, labelled: LabelledPrompts
) -> None:
    version = await add_version(prompts, "Be kind.", examples=EXAMPLES)
    other = await add_version(prompts, "Be brief.", label="candidate")

    served = await labelled.current(MODEL)

    assert served is not None
    assert served.version == version
    assert served.examples == (
        Example(id="e1", query="How do I boil an egg?", answer="Eight minutes.", kind="ordinary"),
        Example(id="e2", query="Why is the sky blue?", answer="Scattering."),
    )
    nearest = await served.nearest("a blue sky")
    assert ([example.id for example in nearest.examples], nearest.found_by) == (["e2"], "lexical")
    candidate = await labelled.current(MODEL, "candidate")
    assert candidate is not None
    assert candidate.version.id == other.id
    assert (await candidate.nearest("a blue sky")).examples == ()
    assert await labelled.current(MODEL, "unheard-of") is None


async def test_labels_are_read_again_only_when_they_are_old(
    prompts: WatchedPrompts, labelled: LabelledPrompts, clock: Clock
) -> None:
    first = await add_version(prompts, "first")
    assert await served_id(labelled) == first.id
    second = await add_version(prompts, "second")

    clock.now += 4.9
    assert await served_id(labelled) == first.id
    clock.now += 0.2
    assert await served_id(labelled) == second.id
    assert await served_id(labelled) == second.id
    assert prompts.label_readings == 2


async def test_a_version_is_read_once(prompts: WatchedPrompts, labelled: LabelledPrompts) -> None:
    version = await add_version(prompts)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(labelled.version(version.id)) for _ in range(5)]
    assert len({id(task.result()) for task in tasks}) == 1
    assert await labelled.current(MODEL) is tasks[0].result()
    assert prompts.version_readings == 1


async def test_others_are_served_from_the_old_labels_while_one_request_reads_the_new_ones(
    prompts: WatchedPrompts, labelled: LabelledPrompts, clock: Clock
) -> None:
    first = await add_version(prompts, "first")
    await labelled.current(MODEL)
    second = await add_version(prompts, "second")
    clock.now += 6
    prompts.gate = asyncio.Event()
    prompts.reading.clear()

    refreshing = asyncio.create_task(served_id(labelled))
    await prompts.reading.wait()
    assert await served_id(labelled) == first.id
    prompts.gate.set()

    assert await refreshing == second.id
    assert await served_id(labelled) == second.id
    assert prompts.label_readings == 2


async def test_the_first_requests_share_one_reading(
    prompts: WatchedPrompts, labelled: LabelledPrompts
) -> None:
    version = await add_version(prompts)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(served_id(labelled)) for _ in range(5)]
    assert {task.result() for task in tasks} == {version.id}
    assert prompts.label_readings == 1


async def test_a_move_in_this_process_shows_at_once(
    prompts: WatchedPrompts, labelled: LabelledPrompts
) -> None:
    await add_version(prompts, "first")
    await labelled.current(MODEL)
    second = await add_version(prompts, "second")
    labelled.invalidate(MODEL)
    assert await served_id(labelled) == second.id


async def test_a_reading_from_before_a_move_does_not_hide_it(
    prompts: WatchedPrompts, labelled: LabelledPrompts, clock: Clock
) -> None:
    first = await add_version(prompts, "first")
    await labelled.current(MODEL)
    clock.now += 6
    prompts.gate = asyncio.Event()
    prompts.reading.clear()
    early = asyncio.create_task(served_id(labelled))
    await prompts.reading.wait()

    second = await add_version(prompts, "second")
    labelled.invalidate(MODEL)
    late_gate, prompts.gate = prompts.gate, None
    assert await served_id(labelled) == second.id
    late_gate.set()

    assert await early in {first.id, second.id}
    assert await served_id(labelled) == second.id


async def test_invalidating_a_model_that_nobody_asked_for_is_harmless(
    prompts: WatchedPrompts, labelled: LabelledPrompts
) -> None:
    labelled.invalidate(MODEL)
    version = await add_version(prompts)
    assert await served_id(labelled) == version.id


async def test_the_last_known_label_is_served_while_the_database_is_down(
    prompts: WatchedPrompts,
    labelled: LabelledPrompts,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = await add_version(prompts, "first")
    await labelled.current(MODEL)
    prompts.down = True
    clock.now += 6
    with caplog.at_level(logging.WARNING):
        assert await served_id(labelled) == first.id
    assert "those of earlier stay" in caplog.text
    assert await served_id(labelled) == first.id
    assert prompts.label_readings == 2  # it is not asked at every request

    prompts.down = False
    second = await add_version(prompts, "second")
    clock.now += 6
    assert await served_id(labelled) == second.id


async def test_labels_that_are_too_old_are_not_served(
    prompts: WatchedPrompts, labelled: LabelledPrompts, clock: Clock
) -> None:
    first = await add_version(prompts, "first")
    await labelled.current(MODEL)
    prompts.down = True
    clock.now += 60
    assert await served_id(labelled) == first.id
    clock.now += 0.1
    for _ in range(2):
        with pytest.raises(ApiError, match="more than 60 s") as refused:
            await labelled.current(MODEL)
        assert (refused.value.answer.status, refused.value.answer.code) == (503, "labels_stale")
        assert refused.value.answer.retry_after is not None
    assert prompts.label_readings == 2  # the second refusal asks nobody
    assert (await labelled.version(first.id)).version == first  # it never changes, so it cannot be old

    prompts.down = False
    clock.now += 5
    assert await served_id(labelled) == first.id


async def test_a_model_that_nobody_asked_for_an_hour_is_read_before_it_is_served(
    prompts: WatchedPrompts, labelled: LabelledPrompts, clock: Clock
) -> None:
    await add_version(prompts, "first")
    await labelled.current(MODEL)
    second = await add_version(prompts, "second")
    clock.now += 3600
    prompts.gate = asyncio.Event()
    prompts.reading.clear()
    asking = [asyncio.create_task(served_id(labelled)) for _ in range(3)]
    await prompts.reading.wait()
    prompts.gate.set()
    assert [await task for task in asking] == [second.id] * 3
    assert prompts.label_readings == 2


async def test_a_version_that_cannot_be_read_is_not_stood_in_for_by_the_last_one_for_ever(
    prompts: WatchedPrompts, labelled: LabelledPrompts, clock: Clock
) -> None:
    first = await add_version(prompts, "first")
    await labelled.current(MODEL)
    second = await add_version(prompts, "second")
    prompts.versions_down = True
    clock.now += 6
    assert await served_id(labelled) == first.id
    clock.now += 61
    with pytest.raises(ApiError, match="labels of tuned"):
        await labelled.current(MODEL)
    prompts.versions_down = False
    assert await served_id(labelled) == second.id


async def test_how_long_a_version_could_not_be_read_is_forgotten_once_its_label_points_elsewhere(
    prompts: WatchedPrompts, labelled: LabelledPrompts, clock: Clock
) -> None:
    first = await add_version(prompts, "first")
    await labelled.current(MODEL)
    second = await add_version(prompts, "second")
    prompts.versions_down = True
    labelled.invalidate(MODEL)
    assert await served_id(labelled) == first.id
    await move_label(prompts, first)
    labelled.invalidate(MODEL)
    assert await served_id(labelled) == first.id
    clock.now += 61
    await move_label(prompts, second)
    assert await served_id(labelled) == first.id


async def test_a_database_that_hangs_does_not_hold_up_requests(
    prompts: WatchedPrompts, labelled: LabelledPrompts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.labelled_prompts._PATIENCE_SECONDS", 0.01)
    first = await add_version(prompts, "first")
    await labelled.current(MODEL)
    await add_version(prompts, "second")
    prompts.gate = asyncio.Event()
    clock.now += 6
    assert await served_id(labelled) == first.id


async def test_a_move_keeps_the_old_version_until_the_new_one_can_be_read(
    prompts: WatchedPrompts, labelled: LabelledPrompts, caplog: pytest.LogCaptureFixture
) -> None:
    first = await add_version(prompts, "first")
    await labelled.current(MODEL)
    second = await add_version(prompts, "second")
    labelled.invalidate(MODEL)

    class HalfDown(WatchedPrompts):
        @override
        async def get_version(self, version_id: str) -> PromptVersionRecord:
            raise StoreUnavailableError("gone between two readings")

    labelled._prompts = HalfDown(prompts._db)
    with caplog.at_level(logging.WARNING):
        assert await served_id(labelled) == first.id
    assert second.id in caplog.text
    labelled._prompts = prompts
    assert await served_id(labelled) == second.id


async def test_what_was_never_known_cannot_be_served_without_a_database(
    prompts: WatchedPrompts, labelled: LabelledPrompts
) -> None:
    version = await add_version(prompts)
    prompts.down = True
    with pytest.raises(StoreUnavailableError):
        await labelled.current(MODEL)
    with pytest.raises(StoreUnavailableError):
        await labelled.version(version.id)
    prompts.down = False
    assert await served_id(labelled) == version.id


async def test_a_label_whose_version_was_never_read_fails_with_the_database(
    prompts: WatchedPrompts, labelled: LabelledPrompts
) -> None:
    assert await labelled.current(MODEL) is None
    await add_version(prompts)
    labelled.invalidate(MODEL)
    await labelled._refresh(MODEL, labelled._shelves[MODEL])
    prompts.down = True
    with pytest.raises(StoreUnavailableError):
        await labelled.current(MODEL)


async def test_the_version_under_a_label_survives_many_pinned_ones(prompts: WatchedPrompts) -> None:
    labelled = LabelledPrompts(prompts, BY_WORDS, SETTINGS, clock=Clock(), capacity=2)
    version = await add_version(prompts, "labelled", examples=EXAMPLES)
    await labelled.current(MODEL)
    pinned = [await add_version(prompts, f"pinned {place}", label=None) for place in range(3)]
    for other in pinned:
        await labelled.version(other.id)
    prompts.down = True

    assert await served_id(labelled) == version.id
    assert (await labelled.version(pinned[2].id)).version == pinned[2]
    with pytest.raises(StoreUnavailableError):  # the least recently used one was let go
        await labelled.version(pinned[0].id)


async def test_an_unknown_version_is_not_found(labelled: LabelledPrompts) -> None:
    with pytest.raises(NotFoundError, match="pv_nothing"):
        await labelled.version("pv_nothing")


async def test_a_label_that_moves_back_serves_the_old_version_again(
    prompts: WatchedPrompts, labelled: LabelledPrompts
) -> None:
    first = await add_version(prompts, "first")
    await add_version(prompts, "second")
    await labelled.current(MODEL)
    await move_label(prompts, first)
    labelled.invalidate(MODEL)
    assert await served_id(labelled) == first.id


async def served_id(labelled: LabelledPrompts) -> str | None:
    served = await labelled.current(MODEL)
    return None if served is None else served.version.id
