import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.llm.recording import call_key, result_from_json, result_to_json
from optimizer.types import (
    Completion,
    CompletionRequest,
    CompletionResult,
    JsonObject,
    Message,
    OutputSchema,
    Sampling,
    Usage,
)

REQUEST = CompletionRequest(
    prompt=(Message(role="user", content="hi", extra={"name": "x"}),),
    sampling=Sampling(temperature=0, stop=("a",)),
    n=2,
    seed=1,
    output=OutputSchema(name="thing", schema={"type": "object"}),
)

results = st.builds(
    CompletionResult,
    completions=st.lists(
        st.builds(
            Completion,
            text=st.text(),
            finish_reason=st.none() | st.text(),
            logprobs=st.none() | st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
        )
    ).map(tuple),
    usage=st.none()
    | st.builds(Usage, prompt_tokens=st.integers(0, 10**6), completion_tokens=st.integers(0, 10**6)),
    model=st.text(),
    seconds=st.floats(0, 1e6),
)


def key(request: CompletionRequest = REQUEST, scope: str = "s", backend: str = "b", model: str = "m") -> str:
    return call_key(request, scope=scope, backend=backend, model=model)


@given(result=results)
def test_a_result_survives_the_store(result: CompletionResult) -> None:
    assert result_from_json(json.loads(json.dumps(result_to_json(result)))) == result


@pytest.mark.parametrize(
    "record", [{}, {"completions": []}, {"completions": "x", "usage": None, "model": "m"}]
)
def test_what_somebody_else_wrote_is_not_a_result(record: JsonObject) -> None:
    assert result_from_json(record) is None


def test_the_same_call_has_the_same_key_on_every_machine() -> None:
    assert key() == key(dataclasses.replace(REQUEST))
    assert key() == "666337a1c4a5097ebc8a153f21d534d5dc33fb724f29544fbf7704523e209302"


@pytest.mark.parametrize(
    "other",
    [
        key(scope="other"),
        key(backend="other"),
        key(model="other"),
        key(dataclasses.replace(REQUEST, prompt="hi")),
        key(dataclasses.replace(REQUEST, prompt=(Message(role="user", content="hi"),))),
        key(dataclasses.replace(REQUEST, sampling=Sampling(temperature=0))),
        key(dataclasses.replace(REQUEST, n=1)),
        key(dataclasses.replace(REQUEST, top_logprobs=1)),
        key(dataclasses.replace(REQUEST, seed=2)),
        key(dataclasses.replace(REQUEST, seed=None)),
        key(dataclasses.replace(REQUEST, output=None)),
    ],
)
def test_everything_that_makes_a_call_another_changes_its_key(other: str) -> None:
    assert other != key()


def test_text_that_is_no_unicode_has_a_key_too() -> None:
    assert len(key(dataclasses.replace(REQUEST, prompt="\ud800"))) == 64
