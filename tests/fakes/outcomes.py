"""An outcome to vary."""

from typing import Final

from app.outcomes import Outcome
from optimizer.types import Usage

ANSWERED: Final = Outcome(
    request_id="r",
    caller="local",
    endpoint="/v1/chat/completions",
    model="m",
    backend="b",
    upstream_model="u",
    version_id="pv_1",
    streamed=False,
    ending="answered",
    error_code=None,
    usage=Usage(prompt_tokens=1, completion_tokens=1),
    key_number=0,
    counted=Usage(),
    estimated=False,
    micros=0,
    finish_reason="stop",
    first_seconds=None,
    seconds=0.1,
)
"""A whole answer of version ``pv_1`` of model ``m``."""
