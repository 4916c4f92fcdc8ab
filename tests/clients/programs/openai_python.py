"""The official Python SDK, without asyncio, as most programs use it."""

import json
from typing import Any, Literal

from openai import DefaultHttpxClient, OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionUserMessageParam
from pydantic import BaseModel

from tests.clients.programs.reporting import CITY, OUTCOMES, QUESTION, Run, main


class Weather(BaseModel):
    """What a structured answer holds."""

    city: str
    degrees: float


ASKED: ChatCompletionUserMessageParam = {"role": "user", "content": QUESTION}


def client(run: Run) -> OpenAI:
    """The SDK as it comes, counting its requests."""
    http = DefaultHttpxClient(event_hooks={"request": [run.count]})
    return OpenAI(base_url=f"{run.url}/v1", api_key=run.key, http_client=http)


def chat(run: Run, **more: Any) -> dict[str, Any]:
    raw = client(run).chat.completions.with_raw_response.create(model=run.model, messages=[ASKED], **more)
    told = raw.parse()
    return {
        "text": told.choices[0].message.content,
        "model": told.model,
        "usage": told.usage and [told.usage.prompt_tokens, told.usage.completion_tokens],
        "version": raw.headers["x-drpo-prompt-version"],
    }


def stream(run: Run) -> dict[str, Any]:
    usage = None
    chunks = client(run).chat.completions.create(
        model=run.model, messages=[ASKED], stream=True, stream_options={"include_usage": True}
    )
    for chunk in chunks:
        if chunk.choices:
            run.pieces.append(chunk.choices[0].delta.content or "")
        if chunk.usage is not None:
            usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
    return {"pieces": run.pieces, "usage": usage}


def tools(run: Run, *, streamed: bool = False) -> dict[str, Any]:
    offered: Any = [{"type": "function", "function": {"name": name, "parameters": CITY}} for name in OUTCOMES]
    messages: list[ChatCompletionMessageParam] = [ASKED]
    sdk = client(run)
    if streamed:
        with sdk.chat.completions.stream(model=run.model, messages=messages, tools=offered) as events:
            told: Any = events.get_final_completion()
    else:
        told = sdk.chat.completions.create(model=run.model, messages=messages, tools=offered)
    asked = told.choices[0].message
    messages.append(asked.to_dict())
    calls = []
    for call in asked.tool_calls:
        arguments = json.loads(call.function.arguments)
        calls.append({"name": call.function.name, "arguments": arguments})
        outcome = OUTCOMES[call.function.name] + arguments["city"]
        messages.append({"role": "tool", "tool_call_id": call.id, "content": outcome})
    last = sdk.chat.completions.create(model=run.model, messages=messages, tools=offered)
    return {"calls": calls, "text": last.choices[0].message.content}


def structured(run: Run) -> dict[str, Any]:
    told = client(run).chat.completions.parse(model=run.model, messages=[ASKED], response_format=Weather)
    return {"value": _dumped(told.choices[0].message.parsed)}


def response(run: Run, **more: Any) -> dict[str, Any]:
    told = client(run).responses.create(input=QUESTION, **(more or {"model": run.model}))
    assert told.usage is not None
    usage = [told.usage.input_tokens, told.usage.output_tokens]
    return {"text": told.output_text, "model": told.model, "usage": usage}


def response_stream(run: Run) -> dict[str, Any]:
    with client(run).responses.stream(model=run.model, input=QUESTION) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                run.pieces.append(event.delta)
        told = events.get_final_response()
    assert told.usage is not None
    return {"pieces": run.pieces, "usage": [told.usage.input_tokens, told.usage.output_tokens]}


def response_tools(run: Run) -> dict[str, Any]:
    offered: Any = [
        {"type": "function", "name": name, "parameters": CITY, "strict": False} for name in OUTCOMES
    ]
    turns: list[Any] = [ASKED]
    sdk = client(run)
    first = sdk.responses.create(model=run.model, input=turns, tools=offered)
    turns += [item.to_dict() for item in first.output]
    calls = []
    for item in first.output:
        if item.type == "function_call":
            arguments = json.loads(item.arguments)
            calls.append({"name": item.name, "arguments": arguments})
            outcome = OUTCOMES[item.name] + arguments["city"]
            turns.append({"type": "function_call_output", "call_id": item.call_id, "output": outcome})
    second = sdk.responses.create(model=run.model, input=turns, tools=offered)
    return {"calls": calls, "text": second.output_text}


def response_structured(run: Run) -> dict[str, Any]:
    told = client(run).responses.parse(model=run.model, input=QUESTION, text_format=Weather)
    return {"value": _dumped(told.output_parsed)}


def embeddings(run: Run) -> dict[str, Any]:
    told = client(run).embeddings.create(model=run.model, input=["ocean", "kettle"])
    vectors = [item.embedding for item in told.data]
    return {"lengths": [len(vector) for vector in vectors], "first": vectors[0][0]}


def _dumped(value: BaseModel | None) -> Any:
    return value and value.model_dump()


_PROMPT = {"id": "production", "variables": {"how": "brief"}}
_STREAM: Literal["perhaps"] = "perhaps"

if __name__ == "__main__":
    main(
        {
            "chat": chat,
            "stream": stream,
            "tools": tools,
            "tools_streamed": lambda run: tools(run, streamed=True),
            "structured": structured,
            "prompt": lambda run: chat(run, extra_body={"prompt": _PROMPT}),
            "refused": lambda run: chat(run, extra_body={"stream": _STREAM}),
            "response": response,
            "response_stream": response_stream,
            "response_tools": response_tools,
            "response_structured": response_structured,
            "response_prompt": lambda run: response(run, prompt=_PROMPT | {"id": run.model, "version": "1"}),
            "embeddings": embeddings,
        }
    )
