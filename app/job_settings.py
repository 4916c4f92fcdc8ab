"""Settings of jobs: how many a process runs, how long a lease lasts, and where a worker answers probes."""

from pydantic import Field

from app.backend_settings import Group, Seconds


class JobSettings(Group):
    """Optimizations.

    Attributes:
        max_running: at once in this process; 0 leaves them to other workers.
        lease_seconds: a job whose worker is silent for this long is taken over.
        poll_seconds: longest time until a waiting job is seen of which no hint has come.
        probe_seconds / longest_probe_seconds: a backend that a job is paused for is asked again after the
            first of them, then after twice as long each time, up to the second.
        fruitless_pauses: times that a job pauses for a backend with no call answered between before it fails:
            the backend answers others, but not this job.
        keep_days: after its end a job is deleted with all that it has stored; null keeps jobs for ever.
    """

    max_running: int = Field(default=2, ge=0, le=1000)
    lease_seconds: Seconds = 12.0
    poll_seconds: Seconds = 1.0
    probe_seconds: Seconds = 5.0
    longest_probe_seconds: Seconds = 300.0
    fruitless_pauses: int = Field(default=5, ge=1, le=20)
    keep_days: float | None = Field(default=None, ge=0)


class WorkerSettings(Group):
    """Where ``drpo worker`` answers probes, and nothing else; needs no key."""

    host: str = "127.0.0.1"
    port: int = Field(default=8001, ge=0, le=65535)
