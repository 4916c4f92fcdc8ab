"""What the overview gives."""

from typing import Literal

from pydantic import BaseModel

from app.jobs.schemas import Status


class ServedVersion(BaseModel):
    """The version that production points to.

    Attributes:
        moved_at / moved_by / reason: of the label's last move.
        how: whether a job has found it, a person has written it, or it was imported.
    """

    id: str
    number: int
    how: Literal["optimization", "by_hand", "imported"]
    moved_at: float
    moved_by: str | None
    reason: str | None


class Gain(BaseModel):
    """What the gate of the job that found the version has measured, on held-out queries.

    Attributes:
        before / after: mean reward (1 to 5) of what was served then, and of this version.
        difference: with its 95 % interval from ``low`` to ``high``, null with fewer than two queries.
    """

    optimization_id: str
    verdict: str
    queries: int
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None


class CriterionChange(BaseModel):
    """A criterion before and after; null where no answer was scored on it."""

    criterion: str
    before: float | None
    after: float | None
    evaluations_before: int
    evaluations_after: int


class Traffic(BaseModel):
    """What was served of the model in the period; ``cost`` in the currency of the prices."""

    requests: int = 0
    failed: int = 0
    client_left: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class LastJob(BaseModel):
    """The model's newest job."""

    id: str
    name: str | None
    status: Status
    verdict: str | None
    created_at: float
    finished_at: float | None


class TargetOverview(BaseModel):
    """One target.

    Attributes:
        production: null where it is served as it is.
        gain: null where no gate has compared that version.
        criteria: by the gate's evaluations; empty without them, or where the job was deleted.
        versions: how many there are.
        last_job: null where there never was one.
    """

    model: str
    production: ServedVersion | None
    gain: Gain | None
    criteria: list[CriterionChange]
    versions: int
    traffic: Traffic
    last_job: LastJob | None


class Overview(BaseModel):
    """All targets that the key may ask, in the order of the settings; traffic of the last ``days`` days."""

    object: Literal["overview"] = "overview"
    days: int
    data: list[TargetOverview]
