"""A job's events as server-sent events, from any point on."""

from collections.abc import AsyncIterator
from typing import Any, Final

from sse_starlette import EventSourceResponse, ServerSentEvent

from app.jobs.event_feed import Annotate, EventFeeds
from optimizer.types import JsonObject
from store.records.optimizations import OptimizationRecord
from store.records.progress import EventRecord
from store.repositories.optimization_rows import FINISHED_EVENT

EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Numbered events until the job's last one.", "content": {"text/event-stream": {}}}
}
"""The answer of an endpoint that streams events, for FastAPI's ``responses``."""
_HEARTBEAT_SECONDS = 10


async def nothing_more(_: OptimizationRecord, __: EventRecord) -> JsonObject:
    """Events as they are."""
    return {}


def events_response(
    feeds: EventFeeds, optimization_id: str, after_seq: int, annotate: Annotate = nothing_more
) -> EventSourceResponse:
    """The response that streams the events of an existing job."""
    return EventSourceResponse(
        stream_events(feeds, optimization_id, after_seq, annotate),
        ping=_HEARTBEAT_SECONDS,
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def stream_events(
    feeds: EventFeeds, optimization_id: str, after_seq: int, annotate: Annotate = nothing_more
) -> AsyncIterator[ServerSentEvent]:
    """Events with a number above ``after_seq``, as they come, until the job's last one.

    The number is the SSE id, so that a client that reconnects with ``Last-Event-ID`` misses none.
    """
    seq = after_seq
    with feeds.follow(optimization_id, annotate) as feed:
        while True:
            page = await feed.after(seq)
            for event in page.events:
                seq = event.seq
                yield ServerSentEvent(event.text, id=str(seq), event=event.type)
                if event.type == FINISHED_EVENT:
                    return
            if page.is_end:
                return
