"""Which streams are asked for token counts, by what is known of their backend."""

import pytest

from app.llm.capabilities import Capabilities
from app.resources import open_resources
from optimizer.types import JsonObject
from store.repositories.capabilities import CapabilityRepository
from tests.app.chat.serving import BASE_MODEL, MODEL, UPSTREAM_MODEL, client_of, settings_for
from tests.fakes.openai_server import FakeOpenAIServer, serve

ASKED_FOR = {"include_usage": True}
REQUESTS: dict[str, JsonObject] = {
    "/v1/chat/completions": {"model": MODEL, "messages": [{"role": "user", "content": "a"}]},
    "/v1/responses": {"model": MODEL, "input": "a"},
    "/v1/completions": {"model": BASE_MODEL, "prompt": "a"},
}
"""None of them is aligned, so nobody asks the models what they can do."""


async def options_sent(fake: FakeOpenAIServer, url: str, path: str, *, counts: bool | None) -> object:
    """What a restarted service asks its backend for, which was found to count tokens in streams or not."""
    settings = settings_for(url, fake, capabilities={"usage_in_stream": None})
    async with open_resources(settings) as resources:
        for model, api in ((UPSTREAM_MODEL, "chat"), ("vendor-base-1", "completions")):
            if counts is not None:
                can = Capabilities(usage_in_stream=counts).to_json()
                record: JsonObject = {"source": f"{api} {fake.url}", "capabilities": can}
                await CapabilityRepository(resources.database).put("upstream", model, record)
    async with open_resources(settings) as resources, client_of(resources) as client:
        await client.post(path, json={**REQUESTS[path], "stream": True})
    [sent] = fake.requests
    return sent.body.get("stream_options")


@pytest.mark.parametrize("path", list(REQUESTS))
async def test_what_was_found_before_a_restart_is_known_after_it(sqlite_url: str, path: str) -> None:
    async with serve() as fake:
        assert await options_sent(fake, sqlite_url, path, counts=True) == ASKED_FOR


@pytest.mark.parametrize("path", list(REQUESTS))
async def test_a_backend_that_was_found_to_count_none_is_not_asked(sqlite_url: str, path: str) -> None:
    async with serve() as fake:
        assert await options_sent(fake, sqlite_url, path, counts=False) is None


@pytest.mark.parametrize(
    ("path", "options"),
    [("/v1/chat/completions", None), ("/v1/completions", None), ("/v1/responses", ASKED_FOR)],
)
async def test_of_an_unknown_backend_only_a_response_wants_counts(
    sqlite_url: str, path: str, options: object
) -> None:
    async with serve() as fake:
        assert await options_sent(fake, sqlite_url, path, counts=None) == options
