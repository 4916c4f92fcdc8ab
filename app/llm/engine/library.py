"""vLLM's own engine behind our port. vLLM is loaded when the first request comes, and only then."""

import hashlib
import importlib
import importlib.util
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final, cast

import orjson
from typing_extensions import override

from app.llm.engine.port import Engine, EngineDiedError, RefusedByEngineError, RequestOutput
from app.vllm_settings import EngineSettings
from optimizer.types import JsonObject

_USUAL: Final[Mapping[str, Any]] = {
    "enable_prefix_caching": True,
    "scheduling_policy": "priority",
}
_USUAL_ON_CPU: Final[Mapping[str, Any]] = {"enable_chunked_prefill": False}
"""vLLM 0.32 on the CPU dies of a request with a seed whose prompt is read in several steps."""
_STRUCTURED: Final[Mapping[str, Any]] = {"backend": "xgrammar", "disable_any_whitespace": True}


def is_installed() -> bool:
    """Whether vLLM is in this environment; it is not loaded."""
    return importlib.util.find_spec("vllm") is not None


def open_engine(settings: EngineSettings) -> Engine:
    """Load the model; takes from seconds to minutes, and blocks.

    Raises:
        Exception: whatever vLLM raises where it cannot.
    """
    vllm, config = importlib.import_module("vllm"), importlib.import_module("vllm.config")
    on_cpu = importlib.import_module("vllm.platforms").current_platform.is_cpu()
    given: dict[str, Any] = {**_USUAL, **(_USUAL_ON_CPU if on_cpu else {}), **settings.arguments}
    structured = given.pop("structured_outputs_config", _STRUCTURED)
    arguments = vllm.AsyncEngineArgs(
        model=settings.model,
        structured_outputs_config=config.StructuredOutputsConfig(**structured),
        **given,
    )
    engine = importlib.import_module("vllm.v1.engine.async_llm").AsyncLLM.from_engine_args(arguments)
    seen = orjson.dumps([settings.model, given, structured], option=orjson.OPT_SORT_KEYS)
    return VllmEngine(engine, fingerprint=f"vllm-{vllm.__version__}-{hashlib.sha256(seen).hexdigest()[:8]}")


class VllmEngine(Engine):
    """An ``AsyncLLM``."""

    def __init__(self, engine: Any, *, fingerprint: str) -> None:
        """``engine`` is opened, and closed by ``close``; ``fingerprint`` names its build and arguments."""
        self._engine = engine
        self.fingerprint = fingerprint
        self._tokenizer = engine.get_tokenizer()
        self._params = importlib.import_module("vllm.sampling_params")
        errors = importlib.import_module("vllm.exceptions")
        self._refusals: tuple[type[Exception], ...] = (ValueError, TypeError, errors.VLLMClientError)
        self._dead = importlib.import_module("vllm.v1.engine.exceptions").EngineDeadError
        self.context = int(engine.model_config.max_model_len)
        self.defaults = cast("JsonObject", dict(engine.model_config.get_diff_sampling_param()))

    @override
    def chat_tokens(self, messages: list[JsonObject], options: JsonObject) -> list[int]:
        try:
            tokens = self._tokenizer.apply_chat_template(
                messages, tokenize=True, return_dict=False, **{"add_generation_prompt": True, **options}
            )
        except Exception as error:  # a template is a program of the model's maker
            raise RefusedByEngineError(f"the model's chat template does not take it: {error}") from error
        return list(tokens)

    @override
    def text_tokens(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text))

    @override
    async def generate(
        self, tokens: list[int], sampling: JsonObject, *, streams: bool, priority: int
    ) -> AsyncGenerator[RequestOutput, None]:
        name = f"drpo-{uuid.uuid4().hex}"
        try:
            params = self._sampling(sampling, streams=streams)
            prompt = {"prompt_token_ids": tokens}
            outputs = self._engine.generate(prompt, params, request_id=name, priority=priority)
            async with aclosing(outputs):  # else it ends whenever it is collected, and computes until then
                async for output in outputs:
                    yield output
        except self._refusals as error:
            raise RefusedByEngineError(str(error)) from error
        except self._dead as error:
            raise EngineDiedError(str(error)) from error

    @override
    def close(self) -> None:
        self._engine.shutdown()

    def _sampling(self, sampling: JsonObject, *, streams: bool) -> Any:
        fields: dict[str, Any] = dict(sampling)
        structured = fields.pop("structured_outputs", None)
        if structured is not None:
            fields["structured_outputs"] = self._params.StructuredOutputsParams(**structured)
        kind = self._params.RequestOutputKind
        return self._params.SamplingParams(**fields, output_kind=kind.DELTA if streams else kind.FINAL_ONLY)
