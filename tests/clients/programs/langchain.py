"""LangChain's ``ChatOpenAI`` and ``OpenAIEmbeddings``."""

from typing import Any

import httpx
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr

from tests.clients.programs.reporting import OUTCOMES, QUESTION, Run, main


class Weather(BaseModel):
    """What a structured answer holds."""

    city: str
    degrees: float


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return OUTCOMES["weather"] + city


@tool
def time(city: str) -> str:
    """The time of day in a city."""
    return OUTCOMES["time"] + city


TOOLS = {"weather": weather, "time": time}


def model(run: Run, **more: Any) -> ChatOpenAI:
    """The model as it comes, counting its requests."""
    return ChatOpenAI(
        base_url=f"{run.url}/v1",
        api_key=SecretStr(run.key),
        model=run.model,
        http_client=httpx.Client(event_hooks={"request": [run.count]}),
        **more,
    )


def chat(run: Run, **more: Any) -> dict[str, Any]:
    told = model(run, include_response_headers=True, **more).invoke(QUESTION)
    return {
        "text": told.text,
        "model": told.response_metadata["model_name"],
        "usage": _usage(told),
        "version": told.response_metadata["headers"].get("x-drpo-prompt-version"),
    }


def stream(run: Run, **more: Any) -> dict[str, Any]:
    whole = None
    for chunk in model(run, stream_usage=True, **more).stream(QUESTION):
        if chunk.text:
            run.pieces.append(chunk.text)
        whole = chunk if whole is None else whole + chunk
    assert isinstance(whole, AIMessageChunk)
    return {"pieces": run.pieces, "usage": _usage(whole)}


def tools(run: Run, *, streamed: bool = False, **more: Any) -> dict[str, Any]:
    able = model(run, **more).bind_tools(list(TOOLS.values()))
    turns: list[BaseMessage] = [HumanMessage(QUESTION)]
    asked: Any = None
    if streamed:
        for chunk in able.stream(turns):
            asked = chunk if asked is None else asked + chunk
    else:
        asked = able.invoke(turns)
    turns.append(asked)
    for call in asked.tool_calls:
        result = TOOLS[call["name"]].invoke(call)
        assert isinstance(result, ToolMessage)
        turns.append(result)
    calls = [{"name": call["name"], "arguments": call["args"]} for call in asked.tool_calls]
    return {"calls": calls, "text": able.invoke(turns).text}


def structured(run: Run, **more: Any) -> dict[str, Any]:
    able = model(run, **more).with_structured_output(Weather, method="json_schema")
    value = able.invoke(QUESTION)
    assert isinstance(value, Weather)
    return {"value": value.model_dump()}


def response(run: Run, **more: Any) -> dict[str, Any]:
    told = model(run, use_responses_api=True, store=False, **more).invoke(QUESTION)
    return {"text": told.text, "model": told.response_metadata["model_name"], "usage": _usage(told)}


def embeddings(run: Run) -> dict[str, Any]:
    able = OpenAIEmbeddings(
        base_url=f"{run.url}/v1",
        api_key=SecretStr(run.key),
        model=run.model,
        check_embedding_ctx_length=False,  # else it would fetch a tokenizer from the internet
        http_client=httpx.Client(event_hooks={"request": [run.count]}),
    )
    vectors = able.embed_documents(["ocean", "kettle"])
    return {"lengths": [len(vector) for vector in vectors], "first": vectors[0][0]}


def _usage(message: AIMessage) -> list[int]:
    usage = message.usage_metadata
    assert usage is not None
    return [usage["input_tokens"], usage["output_tokens"]]


_PROMPT = {"id": "production", "variables": {"how": "brief"}}
_RESPONSES = {"use_responses_api": True}

if __name__ == "__main__":
    main(
        {
            "chat": chat,
            "stream": stream,
            "tools": tools,
            "tools_streamed": lambda run: tools(run, streamed=True),
            "structured": structured,
            "prompt": lambda run: chat(run, extra_body={"prompt": _PROMPT}),
            "refused": lambda run: chat(run, extra_body={"stream": "perhaps"}),
            "response": response,
            "response_stream": lambda run: stream(run, **_RESPONSES),
            "response_tools": lambda run: tools(run, **_RESPONSES),
            "response_structured": lambda run: structured(run, **_RESPONSES),
            "response_prompt": lambda run: response(
                run, extra_body={"prompt": _PROMPT | {"id": run.model, "version": "1"}}
            ),
            "embeddings": embeddings,
        }
    )
