import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from typing_extensions import override

from app.llm.builds import Builds, ask_backend
from app.llm.recording import result_from_json, result_to_json
from app.settings import BackendSettings
from optimizer.types import CompletionRequest, CompletionResult, JsonObject, ModelRole
from tests.app.listening import listening
from tests.app.llm.scripted import small_request
from tests.fakes.chat_model import ScriptedModel

LISTED = {"id": "m", "root": "org/m", "parent": None, "max_model_len": 4096, "created": 1}
LONG = {"id": "long", "root": "x" * 1000, "max_model_len": "many"}


class AnsweringModel(ScriptedModel):
    """A model of which each answer has another fingerprint."""

    def __init__(self, *fingerprints: str | None) -> None:
        super().__init__(lambda _: "fine")
        self._fingerprints = list(fingerprints)

    @override
    async def complete(self, request: CompletionRequest) -> CompletionResult:
        result = await super().complete(request)
        return dataclasses.replace(result, fingerprint=self._fingerprints.pop(0))


@asynccontextmanager
async def backend(
    *, key: str | None = None, models: Response | None = None
) -> AsyncIterator[BackendSettings]:
    """A server that lists its models, and says its version as vLLM does."""

    async def list_models(request: Request) -> Response:
        if key is not None and request.headers.get("authorization") != f"Bearer {key}":
            return JSONResponse({"error": "Unauthorized"}, status_code=401)
        return models or JSONResponse({"data": [LISTED, LONG]})

    async def say_version(_: Request) -> Response:
        return JSONResponse({"version": "0.32.0"})

    routes = [Route("/v1/models", list_models), Route("/version", say_version)]
    async with listening(Starlette(routes=routes)) as url:
        yield BackendSettings.model_validate({"base_url": f"{url}/v1"})


async def test_a_backend_says_its_version_and_what_a_model_is() -> None:
    async with backend(key="sk-1") as settings:
        found = (await ask_backend(settings, key=SecretStr("sk-1"))).of("m")
    assert found == {"version": "0.32.0", "root": "org/m", "max_model_len": 4096}


@pytest.mark.parametrize(
    ("model", "models"),
    [
        ("other", None),
        ("m", JSONResponse({"detail": "no"}, status_code=404)),
        ("m", JSONResponse([1, 2])),
        ("m", JSONResponse({"data": ["m", 3]})),
    ],
)
async def test_what_it_does_not_say_is_left_out(model: str, models: Response | None) -> None:
    async with backend(models=models) as settings:
        assert (await ask_backend(settings, key=None)).of(model) == {"version": "0.32.0"}


async def test_what_is_too_long_to_be_a_name_is_left_out() -> None:
    async with backend() as settings:
        found = (await ask_backend(settings, key=None)).of("long")
    assert found == {"version": "0.32.0", "max_model_len": "many"}


async def test_nonsense_and_silence_say_nothing_and_raise_nothing() -> None:
    async with backend(models=PlainTextResponse("<html>")) as settings:
        assert (await ask_backend(settings, key=None)).of("m") == {}
    assert (await ask_backend(settings, key=None)).of("m") == {}
    simulated = BackendSettings.model_validate({"kind": "simulated"})
    assert (await ask_backend(simulated, key=None)).of("m") == {}


async def test_the_builds_that_answer_are_kept_by_role() -> None:
    builds = Builds()
    model = builds.watched(AnsweringModel("b", None, "a", "b"), ModelRole.TARGET)
    for _ in range(4):
        await model.complete(small_request())
    assert builds.seen(ModelRole.TARGET) == ["a", "b"]
    assert builds.seen(ModelRole.JUDGE) == []


@pytest.mark.parametrize("fingerprint", [None, "vllm-0.32.0-f29ff33f"])
async def test_the_ledger_keeps_the_build_with_each_answer(fingerprint: str | None) -> None:
    result = await AnsweringModel(fingerprint).complete(small_request())
    record: JsonObject = result_to_json(result)
    assert result_from_json(record) == result
    assert ("fingerprint" in record) == (fingerprint is not None)  # as before where there is none
