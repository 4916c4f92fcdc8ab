"""Why a vLLM server did not start, from the end of its log: what it said, and what may help."""

from collections.abc import Sequence
from typing import Final

_SHOWN_LINES: Final = 15
_HINTS: Final = (
    (("address already in use",), "another process has its port: set vllm.port to another one, or to 0"),
    (
        ("unrecognized arguments", "error: argument", "usage: vllm"),
        "this vLLM does not know one of its arguments: see vllm.arguments, and which version vllm.command is",
    ),
    (
        ("out of memory", "no available memory", "free memory on device", "kv cache memory", "max seq len"),
        "the model does not fit: lower '--max-model-len' or '--gpu-memory-utilization' in vllm.arguments, or "
        "take a smaller model",
    ),
    (
        (
            "valid model identifier",
            "config.json",
            "repository not found",
            "localentrynotfound",
            "offline mode",
        ),
        "the model was not found: name a folder that exists or a model on Hugging Face; one that is gated "
        "needs HF_TOKEN in the environment",
    ),
    (
        ("infer device type", "no cuda", "nvidia driver", "libcuda"),
        "vLLM finds no GPU: check the driver, or set vllm.command to the CPU build",
    ),
)


def explain(tail: Sequence[str]) -> str:
    """A hint, where the log says something known, and its last lines."""
    said = "\n".join(tail).lower()
    hints = [hint for signs, hint in _HINTS if any(sign in said for sign in signs)]
    lines = [f"  {line}" for line in tail[-_SHOWN_LINES:]] or ["  (it has said nothing)"]
    return "\n".join([*hints[:1], "the end of its log:", *lines])
