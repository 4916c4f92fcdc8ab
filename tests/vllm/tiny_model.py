"""Makes a tiny model and an adapter of it, from a seed: a program for the environment with vLLM in it.

    python tests/vllm/tiny_model.py FOLDER [SEED]

FOLDER/model is a Qwen3 of 1.8 million random weights with a tokenizer trained on Python's standard library,
FOLDER/adapter a LoRA adapter of it. What it says is babble; everything around that is as with a large model.
Four things are not left to chance: answers depend on the whole prompt, some tokens are far likelier than
others, an answer ends by itself after some thirty tokens, and no token is half a character.
"""

import json
import sys
import sysconfig
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

_VOCABULARY = 4096
_CONTEXT = 8192
_HIDDEN, _HEADS, _KEY_HEADS, _HEAD = 128, 4, 2, 32
_LAYERS = 4
_WEIGHTS = 0.05
"""Standard deviation of the weights; at the usual 0.02 only the last token would matter."""
_LOGITS = 4.0
"""Standard deviation of the logits: the likeliest token has some tenths of the probability."""
_END = 11.0
"""Logit of the end of an answer, whatever came before."""
_NEVER = -30.0
"""Logit of tokens that are no whole characters."""
_RANK = 8

_TEMPLATE = (
    "{%- for turn in messages -%}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
)


def make(folder: Path, seed: int) -> None:
    """Write the model and its adapter."""
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder / "model")
    torch.manual_seed(seed)
    broken = [token for token in range(len(tokenizer)) if "\ufffd" in tokenizer.decode([token])]
    model = _model(len(tokenizer), broken)
    # Published models ship such defaults, and vLLM samples by them where a request says nothing else.
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=0.7, top_p=0.8, top_k=20, eos_token_id=2, pad_token_id=3
    )
    model.save_pretrained(folder / "model")
    _write_adapter(folder / "adapter")


def _tokenizer() -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    modules = sorted(str(path) for path in Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    bpe.train(modules, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        model_max_length=_CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=_TEMPLATE,
    )


def _model(vocabulary: int, broken: list[int]) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=_HIDDEN,
        intermediate_size=3 * _HIDDEN,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        num_key_value_heads=_KEY_HEADS,
        head_dim=_HEAD,
        max_position_embeddings=_CONTEXT,
        initializer_range=_WEIGHTS,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=3,
    )
    model = Qwen3ForCausalLM(config)
    with torch.no_grad():
        # One direction that all tokens share: along it lies what holds after each of them.
        model.model.embed_tokens.weight += _WEIGHTS
        spread = torch.randn(vocabulary, _HIDDEN) * (_LOGITS / _HIDDEN**0.5)
        spread -= spread.mean(dim=1, keepdim=True)
        model.lm_head.weight.copy_(spread)
        reach = _mean_along_that(model)
        model.lm_head.weight[2] = _END / reach
        model.lm_head.weight[broken] = _NEVER / reach
    return model


def _mean_along_that(model: Qwen3ForCausalLM) -> float:
    """How far the hidden states reach in that direction, on average."""
    states = model.model(input_ids=torch.arange(4, 260).reshape(8, 32)).last_hidden_state
    return float(states.sum(dim=-1).mean())


def _write_adapter(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {}
    for layer in range(_LAYERS):
        for part, width in (("v_proj", _KEY_HEADS * _HEAD), ("q_proj", _HEADS * _HEAD)):
            name = f"base_model.model.model.layers.{layer}.self_attn.{part}"
            weights[f"{name}.lora_A.weight"] = torch.randn(_RANK, _HIDDEN) * 0.1
            weights[f"{name}.lora_B.weight"] = torch.randn(width, _RANK) * 0.1
    save_file(weights, folder / "adapter_model.safetensors")
    described = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "tiny",
        "r": _RANK,
        "lora_alpha": 2 * _RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["q_proj", "v_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(described, indent=2), encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
