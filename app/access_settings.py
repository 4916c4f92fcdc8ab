"""How API keys are looked up."""

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
    """

    refresh_seconds: Seconds = 1.0
    offline_seconds: Seconds = 60.0
    touch_seconds: Seconds = 10.0
    settle_seconds: Seconds = 1.0
    assumed_max_tokens: int = Field(default=4096, ge=1)
