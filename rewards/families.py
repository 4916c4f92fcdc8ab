"""Which models are relatives: judges favour answers of their own kind."""

import re

_KNOWN = {
    "aya": "cohere",
    "chatgpt": "gpt",
    "claude": "claude",
    "codellama": "llama",
    "codestral": "mistral",
    "command": "cohere",
    "davinci": "gpt",
    "deepseek": "deepseek",
    "devstral": "mistral",
    "falcon": "falcon",
    "gemini": "gemini",
    "gemma": "gemini",
    "glm": "glm",
    "gpt": "gpt",
    "granite": "granite",
    "grok": "grok",
    "kimi": "kimi",
    "llama": "llama",
    "magistral": "mistral",
    "ministral": "mistral",
    "mistral": "mistral",
    "mixtral": "mistral",
    "nova": "nova",
    "olmo": "olmo",
    "phi": "phi",
    "pixtral": "mistral",
    "qwen": "qwen",
    "qwq": "qwen",
    "smollm": "smollm",
    "tulu": "llama",
    "vicuna": "llama",
    "yi": "yi",
}
"""Names by which a family goes, to the family."""

_REASONING = re.compile(r"o\d")
_WORD = re.compile(r"[a-z]+")
_PART = re.compile(r"[^a-z0-9]+")


def model_families(name: str) -> frozenset[str]:
    """The families of the model ``name`` (``backend/model``, ``backend/maker/model``, any case).

    A distilled model has two: that of its teacher and its own. Size, version and maker don't count. A model
    of no known family is its own one.
    """
    _, _, model = name.casefold().partition("/")
    model = (model or name.casefold()).rsplit("/", 1)[-1]
    found = {family for part in _PART.split(model) if (family := _family(part)) is not None}
    return frozenset(found or {model})


def _family(part: str) -> str | None:
    if _REASONING.fullmatch(part):
        return "gpt"
    word = _WORD.match(part)
    return None if word is None else _KNOWN.get(word[0])
