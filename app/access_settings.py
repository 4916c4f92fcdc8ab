"""How API keys are looked up, and what is kept about served requests."""

from pydantic import Field

from app.backend_settings import Group, Seconds


class KeySettings(Group):
    """API keys.

    Attributes:
        refresh_seconds: age at which a key held in memory is read again; a revoked one fails everywhere after
            twice this time at the latest.
        offline_seconds: how long a key that was in use goes on working while the database is away.
        touch_seconds: how often the store is told which keys were used.
        settle_seconds: how often processes give back what they have drawn from quotas and not spent; for
            twice this time a quota can be refused of which another process holds a rest.
        assumed_max_tokens: what an answer without a limit of its own counts as until it is there.
        session_hours: how long somebody who has signed in to the dashboard stays signed in.
    """

    refresh_seconds: Seconds = 1.0
    offline_seconds: Seconds = 60.0
    touch_seconds: Seconds = 10.0
    settle_seconds: Seconds = 1.0
    assumed_max_tokens: int = Field(default=4096, ge=1)
    session_hours: float = Field(default=168.0, gt=0, le=8760)


class UsageSettings(Group):
    """What is kept about served requests: numbers, and never a word of what was asked or answered.

    Attributes:
        keep_days: of the row of each request; 0 writes none. Sums by day, key and model stay for good.
        flush_seconds: how often it is written; so much of it is lost with ``kill -9``.
        queue_size: rows that wait to be written; more are dropped and counted, and their sums are not.
        sweep_seconds: how often old rows are dropped.
    """

    keep_days: float = Field(default=30.0, ge=0)
    flush_seconds: Seconds = 1.0
    queue_size: int = Field(default=10_000, ge=1)
    sweep_seconds: Seconds = 600.0
