"""What a process opens for releases."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from app.labelled_prompts import LabelledPrompts
from app.outcomes import OutcomeFeed
from app.release_control.book import ReleaseBook
from app.release_control.counting import ArmCounter
from app.release_control.shadows import Shadows
from app.release_control.watch import ReleaseWatch
from app.settings import Settings
from store.connections import Database
from store.repositories.feedback import FeedbackRepository
from store.repositories.prompts import PromptRepository
from store.repositories.release_counts import ReleaseCountRepository
from store.repositories.releases import ReleaseRepository


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseControl:
    """Releases, in the store and in memory, and who looks after them."""

    releases: ReleaseRepository
    counts: ReleaseCountRepository
    feedback: FeedbackRepository
    book: ReleaseBook
    counter: ArmCounter
    shadows: Shadows
    watch: ReleaseWatch


@asynccontextmanager
async def open_release_control(
    database: Database, settings: Settings, outcomes: OutcomeFeed, labelled: LabelledPrompts
) -> AsyncIterator[ReleaseControl]:
    """Open it all on ``database``; what ``outcomes`` tells is counted."""
    releases, counts = ReleaseRepository(database), ReleaseCountRepository(database)
    feedback, book = FeedbackRepository(database), ReleaseBook(releases, counts, settings.chat)
    counter = ArmCounter(counts, outcomes)
    reading = book.in_background()

    def moved(model: str) -> None:
        labelled.invalidate(model)
        reading.wake()

    watch = ReleaseWatch(
        releases, counts, feedback, PromptRepository(database), settings.usage, on_moved=moved
    )
    await book.refresh()
    async with (
        reading,
        counter.in_background(),
        watch.in_background(),
        aclosing(Shadows(outcomes)) as shadows,
    ):
        yield ReleaseControl(
            releases=releases,
            counts=counts,
            feedback=feedback,
            book=book,
            counter=counter,
            shadows=shadows,
            watch=watch,
        )
