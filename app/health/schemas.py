"""What probes are told."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    service: Literal["drpo"] = "drpo"
    version: str


class Checks(BaseModel):
    """What was looked at: whether the database answers, and whether its schema is this program's."""

    model_config = ConfigDict(serialize_by_alias=True)

    database: Literal["ok", "unreachable"]
    schema_state: Literal["ok", "outdated", "unknown"] = Field(alias="schema")


class Readiness(BaseModel):
    """Whether requests can be served."""

    status: Literal["ok", "unavailable"]
    checks: Checks
