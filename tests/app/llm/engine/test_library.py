"""Our adapter of vLLM's engine, on modules that stand in for vLLM's."""

import sys
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from app.llm.engine.library import VllmEngine


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


async def test_leaving_an_answer_ends_its_request_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = SimpleNamespace(SamplingParams=dict, RequestOutputKind=SimpleNamespace(DELTA=1))
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", parameters)
    for name, error in (
        ("vllm.exceptions", "VLLMClientError"),
        ("vllm.v1.engine.exceptions", "EngineDeadError"),
    ):
        module = SimpleNamespace(**{error: type(error, (Exception,), {})})
        monkeypatch.setitem(sys.modules, name, module)
    library = Library()
    outputs = VllmEngine(library).generate([1], {}, streams=True, priority=0)
    assert await anext(outputs) == "one"  # type: ignore[comparison-overlap]
    await outputs.aclose()
    assert library.ended
