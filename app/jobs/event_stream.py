"""A job's events as server-sent events, from any point on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import orjson
from sse_starlette import EventSourceResponse, ServerSentEvent

from optimizer.types import JsonObject
from store.progress import ProgressLog
from store.records.progress import EventRecord
from store.repositories.optimization_rows import FINISHED_EVENT
from store.repositories.optimizations import OptimizationRepository

_WAIT_SECONDS = 15.0
_HEARTBEAT_SECONDS = 10

Annotate: TypeAlias = Callable[[EventRecord], Awaitable[JsonObject]]
"""What is told with an event beside its own fields; it follows from what is on record."""


async def nothing_more(_: EventRecord) -> JsonObject:
    """Events as they are."""
    return {}


def events_response(
    optimizations: OptimizationRepository,
    progress: ProgressLog,
    optimization_id: str,
    after_seq: int,
    annotate: Annotate = nothing_more,
) -> EventSourceResponse:
    """The response that streams the events of an existing job."""
    return EventSourceResponse(
        stream_events(optimizations, progress, optimization_id, after_seq, annotate),
        ping=_HEARTBEAT_SECONDS,
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def stream_events(
    optimizations: OptimizationRepository,
    progress: ProgressLog,
    optimization_id: str,
    after_seq: int,
    annotate: Annotate = nothing_more,
) -> AsyncIterator[ServerSentEvent]:
    """Events with a number above ``after_seq``, as they come, until the job's last one.

    The number is the SSE id, so that a client that reconnects with ``Last-Event-ID`` misses none.
    """
    seq = after_seq
    while True:
        # asked before the events are read: nothing follows a final status
        is_final = (await optimizations.get(optimization_id)).status.is_final
        patience = 0.0 if is_final else _WAIT_SECONDS
        events = await progress.wait_for_events(optimization_id, seq, timeout=patience)
        for event in events:
            seq = event.seq
            body = {
                "seq": event.seq,
                "type": event.type,
                "at": event.at,
                **event.body,
                **await annotate(event),
            }
            yield ServerSentEvent(orjson.dumps(body).decode(), id=str(seq), event=event.type)
            if event.type == FINISHED_EVENT:
                return
        if is_final and not events:
            return
