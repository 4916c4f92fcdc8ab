"""What the tests stand on: the server is up, and answers with the tiny model and its adapter."""

from typing import Any

import httpx
import pytest

from tests.vllm.server import ADAPTER, CONTEXT, MODEL, VllmServer


def ask(vllm: VllmServer, model: str, **fields: object) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "Name three birds."}], **fields}
    answer = httpx.post(f"{vllm.url}/chat/completions", json=body, timeout=60, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def test_the_server_lists_the_model_and_its_adapter(vllm: VllmServer) -> None:
    listed = httpx.get(f"{vllm.url}/models", trust_env=False).json()["data"]
    found = {model["id"]: (model["parent"], model["max_model_len"]) for model in listed}
    assert found == {MODEL: (None, CONTEXT), ADAPTER: (MODEL, None)}


def test_answers_end_by_themselves_in_whole_characters(vllm: VllmServer) -> None:
    answers = [ask(vllm, MODEL, seed=seed, max_tokens=400, top_k=-1)["choices"][0] for seed in range(8)]
    assert [answer["finish_reason"] for answer in answers].count("stop") >= 6
    assert not [answer for answer in answers if "\ufffd" in answer["message"]["content"]]


@pytest.mark.parametrize("model", [MODEL, ADAPTER])
def test_greedy_answers_are_the_same_each_time(vllm: VllmServer, model: str) -> None:
    texts = {
        ask(vllm, model, temperature=0, max_tokens=20)["choices"][0]["message"]["content"] for _ in range(3)
    }
    assert len(texts) == 1


def test_the_adapter_makes_another_model_of_it(vllm: VllmServer) -> None:
    firsts = [
        ask(vllm, name, temperature=0, max_tokens=1, logprobs=True, top_logprobs=3)
        for name in (MODEL, ADAPTER)
    ]
    assert firsts[0]["choices"][0]["logprobs"] != firsts[1]["choices"][0]["logprobs"]
