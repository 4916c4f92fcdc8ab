"""Where the processes of an installation share their limits, if anywhere."""

import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from app.backend_settings import RedisSettings

if TYPE_CHECKING:
    from app.llm.limits.redis_exchange import RedisMeeting

_LOGGER = logging.getLogger(__name__)


async def open_meeting(settings: RedisSettings, stack: AsyncExitStack) -> "RedisMeeting | None":
    """The Redis that ``settings`` name, closed with ``stack``; None where they name none.

    One that is away now is no error: it is used when it comes.

    Raises:
        InvalidInputError: there cannot be a Redis at such a URL.
    """
    if settings.url is None:
        _LOGGER.info("each process has the limits of its backends for itself (redis.url is not set)")
        return None
    # its library takes an eighth of a second to load, which a single process should not have to wait for
    from app.llm.limits.redis_exchange import RedisMeeting  # noqa: PLC0415

    meeting = RedisMeeting(settings.url, prefix=settings.prefix)
    stack.push_async_callback(meeting.aclose)
    if await meeting.answers():
        _LOGGER.info("the limits of backends are shared through Redis")
    else:
        _LOGGER.warning("redis.url: Redis does not answer; until it does this process goes on alone")
    return meeting
