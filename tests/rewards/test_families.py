import pytest

from rewards.families import model_families


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("openai/gpt-4o-mini", "azure/gpt-5"),
        ("openai/o3-mini", "openai/gpt-4.1"),
        ("openai/chatgpt-4o-latest", "router/openai/o1"),
        ("vllm/meta-llama/Meta-Llama-3.1-8B-Instruct", "local/Llama2-70b-chat"),
        ("local/codellama-7b", "local/llama-3"),
        ("mistral/mixtral-8x7b", "vllm/mistralai/Mistral-7B-v0.1"),
        ("vllm/Qwen/Qwen2.5-72B-Instruct", "local/qwq-32b"),
        ("vllm/deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "local/llama-3.3-70b"),
        ("vllm/deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "deepseek/deepseek-v3"),
        ("anthropic/claude-sonnet-4-5", "bedrock/anthropic.claude-3-opus"),
        ("google/gemini-2.5-pro", "local/gemma-2-9b-it"),
        ("own/house-model", "own/house-model"),
    ],
)
def test_relatives_are_recognised(one: str, other: str) -> None:
    assert model_families(one) & model_families(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("openai/gpt-4o", "anthropic/claude-opus-4"),
        ("vllm/meta-llama/Llama-3-8B", "vllm/mistralai/Mistral-7B"),
        ("simulated/simulated-small", "simulated/simulated-critic"),
        ("own/model-1", "own/model-2"),
        ("own/solar", "openai/o1"),
        ("1", "2"),
    ],
)
def test_strangers_are_told_apart(one: str, other: str) -> None:
    assert not model_families(one) & model_families(other)


def test_a_model_of_no_known_family_is_its_own_one() -> None:
    assert model_families("own/maker/House-Model-7b") == {"house-model-7b"}
    assert model_families("plain") == {"plain"}
