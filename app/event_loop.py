"""The event loop of a process: commands and services alike run on it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop
from threadpoolctl import threadpool_limits

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end on uvloop, which needs less CPU per call than asyncio's own loop.

    Matrices here are small: more than one thread for each would only have them wait for each other.
    """
    with (
        threadpool_limits(limits=1, user_api="blas"),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(work)
