"""What to change about a request that a backend has refused, read from what it says.

The wording is that of vLLM 0.32 (``tests/vllm/real_refusals.py`` shows each on a real one) and of OpenAI.
"""

import re
from typing import Final

_ADVICE: Final = (
    (
        r"n must be 1 when using greedy",
        "it gives several answers only at a temperature above 0: raise temperature, or ask for one (n=1)",
    ),
    (
        r"maximum context length|context_length_exceeded|parameter=input_tokens",
        "system prompt, examples and conversation together are longer than the model's context: shorten "
        "them, show fewer examples (k), or serve the model with a longer one (vLLM: --max-model-len)",
    ),
    (
        r"max_(completion_)?tokens=?\S* cannot be greater|max_(completion_)?tokens is too large",
        "ask for fewer tokens (max_tokens): prompt and answer share the model's context",
    ),
    (
        r"--tool-call-parser",
        "serve the model with --enable-auto-tool-choice and the --tool-call-parser of its family, or send no "
        "tools",
    ),
    (
        r"json schema|grammar",
        "it cannot make answers follow this schema: leave out what it does not know (such as uniqueItems or "
        "multipleOf), or serve the model with another backend of structured outputs",
    ),
    (
        r"logprobs of \d+, which is greater than max",
        "ask for fewer alternatives (top_logprobs), or serve the model with a higher --max-logprobs",
    ),
    (r"not a multimodal model", "send text alone, or choose a model that takes more than text"),
)
_PATTERNS: Final = tuple((re.compile(pattern, re.IGNORECASE), advice) for pattern, advice in _ADVICE)


def advice_on(said: str) -> str | None:
    """What to change, or None where ``said``, which may be hostile and is short, is no refusal known here."""
    return next((advice for pattern, advice in _PATTERNS if pattern.search(said)), None)
