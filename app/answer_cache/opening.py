"""From the settings to where answers are kept, if anywhere."""

from typing import TYPE_CHECKING

from app.answer_cache.cache import AnswerCache
from app.answer_cache.memory import MemoryCache
from app.settings import Settings

if TYPE_CHECKING:
    from app.llm.limits.redis_exchange import RedisMeeting


def open_answer_cache(settings: Settings, meeting: "RedisMeeting | None") -> AnswerCache | None:
    """Where answers are kept; None where no model's are."""
    targets, embedders = settings.targets.values(), settings.embedders.values()
    if not any(target.cache for target in targets) and not any(model.cache for model in embedders):
        return None
    bounds = settings.cache
    if bounds.store == "memory" or meeting is None:
        return MemoryCache(max_bytes=bounds.max_bytes, max_entry_bytes=bounds.max_entry_bytes)
    # Redis's library takes its time to load, which a single process should not have to wait for
    from app.answer_cache.redis_cache import RedisCache  # noqa: PLC0415

    return RedisCache(meeting.redis, prefix=meeting.prefix, max_entry_bytes=bounds.max_entry_bytes)
