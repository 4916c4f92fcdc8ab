"""Our adapter of vLLM's engine, on modules that stand in for vLLM's."""

import sys
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from app.llm.engine.library import VllmEngine, open_engine
from app.vllm_settings import EngineSettings
from optimizer.types import JsonObject


class Library:
    """What is used of an ``AsyncLLM``; ``ended`` once its request has."""

    model_config = SimpleNamespace(max_model_len=10, get_diff_sampling_param=dict)
    ended = False

    def get_tokenizer(self) -> None:
        return None

    async def generate(self, *_: object, **__: object) -> AsyncIterator[str]:
        try:
            yield "one"
            yield "two"
        finally:
            self.ended = True


def have_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put stand-ins in the place of the modules that the adapter loads."""
    parameters = SimpleNamespace(SamplingParams=dict, RequestOutputKind=SimpleNamespace(DELTA=1))
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", parameters)
    for name, error in (
        ("vllm.exceptions", "VLLMClientError"),
        ("vllm.v1.engine.exceptions", "EngineDeadError"),
    ):
        module = SimpleNamespace(**{error: type(error, (Exception,), {})})
        monkeypatch.setitem(sys.modules, name, module)


async def test_leaving_an_answer_ends_its_request_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    have_modules(monkeypatch)
    library = Library()
    outputs = VllmEngine(library, fingerprint="vllm-0").generate([1], {}, streams=True, priority=0)
    assert await anext(outputs) == "one"  # type: ignore[comparison-overlap]
    await outputs.aclose()
    assert library.ended


@pytest.mark.parametrize(
    ("on_cpu", "given", "chunked"),
    [(True, {}, False), (True, {"enable_chunked_prefill": True}, True), (False, {}, None)],
)
def test_on_the_cpu_prompts_are_read_in_one_step(
    monkeypatch: pytest.MonkeyPatch, on_cpu: bool, given: JsonObject, chunked: bool | None
) -> None:
    have_modules(monkeypatch)
    asked: list[dict[str, object]] = []
    library = SimpleNamespace(from_engine_args=lambda _: Library())
    modules = {
        "vllm": SimpleNamespace(AsyncEngineArgs=lambda **fields: asked.append(fields), __version__="0.32.0"),
        "vllm.config": SimpleNamespace(StructuredOutputsConfig=dict),
        "vllm.platforms": SimpleNamespace(current_platform=SimpleNamespace(is_cpu=lambda: on_cpu)),
        "vllm.v1.engine.async_llm": SimpleNamespace(AsyncLLM=library),
    }
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    opened = open_engine(EngineSettings(model="m", arguments=given))
    assert opened.fingerprint.startswith("vllm-0.32.0-")
    other = open_engine(EngineSettings(model="m", arguments={**given, "seed": 3}))
    assert other.fingerprint != opened.fingerprint
    assert asked[0]["model"] == "m"
    assert asked[0]["enable_prefix_caching"] is True
    assert asked[0].get("enable_chunked_prefill") is chunked
