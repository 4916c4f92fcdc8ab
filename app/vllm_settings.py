"""Settings of vLLM where it is ours: the server that ``drpo serve`` starts, the engine in this process."""

from pathlib import PurePath
from typing import Final, Literal

from pydantic import Field

from app.backend_settings import Group, Seconds
from app.configuration import merge
from optimizer.types import JsonObject, JsonValue

VLLM_BACKEND: Final = "vllm"
"""The name of the backend that the server becomes."""
LOOPBACK: Final = "127.0.0.1"


class VllmSettings(Group):
    """A vLLM server of our own; none where there is no ``model``.

    Attributes:
        model: a folder, or a model's name on Hugging Face.
        name: what clients call it; by default a folder's name, else the model's own.
        command: the program; a bare name is looked for beside our Python first, then on the path.
        device: ``cpu`` adds what the CPU build needs; ``auto`` looks at which build the command belongs to.
        port: on loopback; 0 takes a free one. Workers beside the service need a fixed one.
        arguments: further arguments of ``vllm serve``; they win over ours.
        start_seconds: until it answers for the first time; a large model takes minutes to load.
        stop_seconds: from asking it to stop until it is killed.
        max_restarts: in a row, with no minute of health between them, before it is given up.
        first_restart_seconds / longest_restart_seconds: waits before a restart double from here to there.
    """

    model: str | None = Field(default=None, min_length=1)
    name: str | None = Field(default=None, min_length=1)
    command: str = Field(default="vllm", min_length=1)
    device: Literal["auto", "cpu", "gpu"] = "auto"
    port: int = Field(default=0, ge=0, le=65535)
    arguments: tuple[str, ...] = ()
    start_seconds: Seconds = 1800.0
    stop_seconds: Seconds = 20.0
    max_restarts: int = Field(default=5, ge=0, le=1000)
    first_restart_seconds: Seconds = 1.0
    longest_restart_seconds: Seconds = 60.0

    @property
    def served_name(self) -> str:
        """What clients call the model."""
        return self.name or served_name(self.model or "")


class EngineSettings(Group):
    """vLLM's engine in this process, for a backend of kind ``vllm``.

    Attributes:
        model: a folder, or a model's name on Hugging Face.
        name: what targets and roles call it; by default a folder's name, else the model's own.
        arguments: of vLLM's ``AsyncEngineArgs``, such as ``max_model_len``.
    """

    model: str = Field(min_length=1)
    name: str | None = Field(default=None, min_length=1)
    arguments: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def served_name(self) -> str:
        """What targets and roles call the model."""
        return self.name or served_name(self.model)


def served_name(model: str) -> str:
    """A folder's own name, or that of a model on Hugging Face as it is."""
    is_folder = model.startswith(("/", ".", "~")) or model.count("/") > 1
    return PurePath(model).name or model if is_folder else model


def with_vllm(given: JsonObject) -> JsonObject:
    """Raw settings to which the server that they ask for is added: a backend, a target, and missing roles.

    What they say about this backend or target themselves stays, except where it is.
    """
    vllm = given.get("vllm")
    model = vllm.get("model") if isinstance(vllm, dict) else None
    if not isinstance(vllm, dict) or not isinstance(model, str) or not model:
        return given
    name, port = vllm.get("name") or served_name(model), vllm.get("port") or 0
    asked: JsonValue = {"backend": VLLM_BACKEND, "model": name}
    roles: JsonObject = {"proposer": asked, "selector": asked, "judge": asked}
    place: JsonObject = {
        "backends": {VLLM_BACKEND: {"kind": "openai", "base_url": url_at(port)}},
        "targets": {str(name): asked},
    }
    return merge(merge({"roles": roles}, given), place)


def url_at(port: JsonValue) -> str:
    """Where a server of ours at ``port`` is found."""
    return f"http://{LOOPBACK}:{port}/v1"
