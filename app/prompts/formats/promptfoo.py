"""A prompt as promptfoo takes it: a configuration, and the file of messages that it names.

promptfoo renders each text with Nunjucks, so braces that would begin a tag are written as an expression.
"""

import json
import re
from typing import Final

from app.prompts.formats.content import PromptContent, ReadPrompt, read_sampling, shown_examples, unreadable
from app.prompts.formats.openai_messages import messages_of, read_messages
from optimizer.types import JsonObject, JsonValue

_FILE: Final = "prompt.json"
_QUESTION: Final = "{{query}}"
_BRACE: Final = "{{ '{' }}"
_OPENING: Final = re.compile(r"\{(?=[{%#])")
_LOGIC: Final = re.compile(r"\{[%#]")


def write_promptfoo(content: PromptContent, *, model: str, every_example: bool) -> JsonObject:
    """``config``, to be saved as ``promptfooconfig.json``, and ``files``, to be saved beside it."""
    examples = shown_examples(content, every=every_example)
    messages = [_escaped(turn) for turn in messages_of(content.system_prompt, examples)]
    settings: JsonObject = {name: value for name, value in content.sampling.items() if value is not None}
    return {
        "config": {
            "description": _literal(f"A prompt for {model}"),
            "prompts": [f"file://{_FILE}"],
            "providers": [{"id": f"openai:chat:{_literal(model)}", "config": settings}],
            "tests": [{"vars": {"query": "What can you do for me?"}}],
        },
        "files": {_FILE: [*messages, {"role": "user", "content": _QUESTION}]},
    }


def read_promptfoo(document: JsonObject) -> ReadPrompt:
    """The one prompt of a configuration: a text, messages, or a file of ``files`` that it names.

    Raises:
        ApiError: 400, there is none or more than one, or it has logic in it.
    """
    config, files = document.get("config"), document.get("files", {})
    if not isinstance(config, dict) or not isinstance(files, dict):
        raise unreadable("give the configuration as config, and the files that it names as files")
    prompts = config.get("prompts")
    if isinstance(prompts, str):
        prompts = [prompts]
    if not isinstance(prompts, list) or len(prompts) != 1:
        count = len(prompts) if isinstance(prompts, list) else 0
        raise unreadable(f"config.prompts has to have one prompt, and has {count}")
    read = read_messages(_messages(_prompt(prompts[0], files)))
    providers = config.get("providers")
    first = providers[0] if isinstance(providers, list) and providers else None
    settings = first.get("config") if isinstance(first, dict) else None
    content = PromptContent(
        system_prompt=read.content.system_prompt,
        examples=read.content.examples,
        k=read.content.k,
        retrieval=None,
        sampling=read_sampling(settings),
    )
    return ReadPrompt(content=content, left_out=read.left_out)


def _prompt(told: JsonValue, files: JsonObject) -> JsonValue:
    if isinstance(told, dict):
        told = told.get("raw", told.get("id"))
    if isinstance(told, str) and told.startswith("file://"):
        name = told.removeprefix("file://")
        if name not in files:
            raise unreadable(f"config.prompts names {name}, which is not in files")
        told = files[name]
    if not isinstance(told, str):
        return told
    try:
        parsed: JsonValue = json.loads(told)
    except (ValueError, RecursionError):
        return told
    return parsed if isinstance(parsed, list | dict) else told


def _messages(prompt: JsonValue) -> JsonValue:
    """``prompt`` as messages, with its escaped braces as they were."""
    if isinstance(prompt, str):
        return [{"role": "system", "content": _read(prompt.replace(_QUESTION, "").strip())}]
    turns = prompt.get("messages") if isinstance(prompt, dict) else prompt
    if not isinstance(turns, list):
        return prompt
    return [
        {**turn, "content": _read(turn["content"])}
        if isinstance(turn, dict) and isinstance(turn.get("content"), str)
        else turn
        for turn in turns
    ]


def _escaped(turn: JsonValue) -> JsonValue:
    if isinstance(turn, dict):
        return {**turn, "content": _literal(str(turn["content"]))}
    return turn


def _literal(text: str) -> str:
    return _OPENING.sub(_BRACE, text)


def _read(text: JsonValue) -> str:
    told = str(text)
    if _LOGIC.search(told.replace(_BRACE, "-")):
        raise unreadable("the prompt has logic of templates in it ({% or {#), which a version cannot hold")
    return told.replace(_BRACE, "{")
