"""Running awaitables together, with one plain exception when they fail."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from optimizer.errors import BudgetExceededError

T = TypeVar("T")


async def run_together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all of ``work`` at once and give the results in its order.

    After a failure or a cancellation the rest is cancelled, and none of it is still running at the end. A
    cancellation from outside always comes through, also one that arrives while others end after a failure,
    which a ``TaskGroup`` of Python 3.11 swallows.

    A budget that is exhausted cancels nothing: what is under way is paid for, and its answers are kept. The
    failure is raised when the others have ended.

    Raises:
        BaseException: the first failure, itself and not wrapped in a group; BudgetExceededError only where
            there is no other.
        CancelledError: somebody cancelled the caller.
    """
    failures: list[BaseException] = []

    def note_failure(task: asyncio.Task[T]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failures.append(error)

    tasks: list[asyncio.Task[T]] = []
    try:
        for item in work:
            tasks.append(asyncio.create_task(item))
            tasks[-1].add_done_callback(note_failure)
        pending = set(tasks)
        while pending and _fatal(failures) is None:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end_all(tasks)
    if failures:
        raise _first_leaf(_fatal(failures) or failures[0])
    return [task.result() for task in tasks]


async def end_all(tasks: Sequence[asyncio.Task[T]]) -> None:
    """Cancel what is still running and wait for all of it.

    Raises:
        CancelledError: the caller was cancelled meanwhile.
    """
    for task in tasks:
        task.cancel()
    interruption: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            interruption = error
    if interruption is not None:
        raise interruption


def _fatal(failures: Sequence[BaseException]) -> BaseException | None:
    """The first failure that ends the others, too."""
    return next((error for error in failures if not isinstance(error, BudgetExceededError)), None)


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
