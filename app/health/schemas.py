"""What probes are told."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

VllmHealth: TypeAlias = Literal["starting", "ok", "restarting", "failed", "stopped"]
LimitSharing: TypeAlias = Literal["per_process", "shared", "redis_unreachable"]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"
    service: Literal["drpo"] = "drpo"
    version: str


class Checks(BaseModel):
    """What was looked at.

    Attributes:
        database: whether it answers.
        schema_state: whether its schema is this program's.
        limits: whether the limits of backends are ``shared`` with other processes, are this process's alone
            (``per_process``), or should be shared and cannot (``redis_unreachable``); it serves all the same.
        vllm: how the vLLM server is that this process has started; absent where it has started none.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    database: Literal["ok", "unreachable"]
    schema_state: Literal["ok", "outdated", "unknown"] = Field(alias="schema")
    limits: LimitSharing = "per_process"
    vllm: VllmHealth | None = None


class Readiness(BaseModel):
    """Whether requests can be served."""

    status: Literal["ok", "unavailable"]
    checks: Checks
