import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from app.commands.api_client import (
    ApiClient,
    ServiceError,
    api_client,
    is_running,
    local_url,
    open_sdk,
    parse_setting,
    read_base_url,
)
from optimizer.errors import InvalidInputError
from tests.app.chat.serving import MODEL, serve_service
from tests.app.listening import listening

KEY = "sk-ours-0123456789abcdef"


def client_of(answer: Callable[[httpx.Request], httpx.Response]) -> ApiClient:
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://drpo")
    return ApiClient(http)


async def test_it_speaks_to_a_real_service(sqlite_url: str) -> None:
    async with serve_service(sqlite_url, server={"api_key": KEY}) as served:
        assert await is_running(served.url)
        async with api_client(served.url, KEY) as client:
            assert MODEL in [model["id"] for model in (await client.get("/v1/models"))["data"]]
            page = await client.get("/v1/optimizations", limit=1)
            assert page["data"] == []
            stored = await client.upload("/v1/datasets", "q.jsonl", b'{"text": "Why?"}\n')
            assert stored["id"]
        async with api_client(served.url, None) as client:
            with pytest.raises(ServiceError, match="401: the API key is missing or wrong"):
                await client.get("/v1/models")
            with pytest.raises(ServiceError) as caught:
                await client.post("/v1/optimizations", {})
        async with open_sdk(served.url, KEY) as sdk:
            assert MODEL in {model.id async for model in sdk.models.list()}
    assert KEY not in str(caught.value)
    assert not await is_running(served.url)


async def test_what_models_have_to_write_is_waited_for_longer() -> None:
    patience = []

    def answer(request: httpx.Request) -> httpx.Response:
        patience.append(request.extensions["timeout"]["read"])
        return httpx.Response(200, json={})

    await client_of(answer).post("/v1/evaluations", {}, patience=3600.0)
    await client_of(answer).post("/v1/evaluations", {})
    assert patience[0] == 3600.0
    assert patience[1] < 60


async def test_what_is_only_looked_up_is_asked_again_where_an_idle_connection_was_closed() -> None:
    asked: list[bytes] = []

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the first request of a connection, and close it when the second one comes."""
        for number in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            asked.append(head.split(b" ")[0])
            if number == 0:
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
                )
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, api_client(f"http://127.0.0.1:{port}", None) as client:
        assert await client.get("/v1/models") == {}
        assert await client.get("/v1/models") == {}
        assert asked == [b"GET"] * 3
        with pytest.raises(ServiceError, match="cannot be reached"):
            await client.delete("/v1/optimizations/opt_1")
        assert asked == [b"GET"] * 3 + [b"DELETE"]


async def test_a_service_that_is_not_there_is_named() -> None:
    async with api_client("http://127.0.0.1:9", None) as client:
        with pytest.raises(
            ServiceError, match=r"the service at http://127\.0\.0\.1:9.* cannot be reached: \w"
        ):
            await client.get("/v1/models")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
async def test_numbers_that_json_does_not_know_are_refused(number: float) -> None:
    client = client_of(lambda _: httpx.Response(200, json={}))
    with pytest.raises(InvalidInputError, match="nan and inf"):
        await client.post("/v1/optimizations", {"budget": {"cost": number}})


async def test_a_body_is_sent_as_json() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["content-type"] == "application/json"
        return httpx.Response(200, json=json.loads(request.content))

    assert await client_of(answer).post("/x", {"a": ["é"]}) == {"a": ["é"]}


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (httpx.Response(404, json={"error": {"message": "there is none"}}), "404: there is none"),
        (httpx.Response(502, text="<html>" + "x" * 900), "502: <html>x"),
        (httpx.Response(500, json={"detail": "else"}), "500: "),
        (httpx.Response(500, json=["list"]), "500: "),
        (httpx.Response(200, text="<html>"), "does not answer like drpo: is the URL right"),
    ],
)
async def test_what_is_wrong_is_told_whatever_comes_back(response: httpx.Response, message: str) -> None:
    with pytest.raises(ServiceError, match=message) as caught:
        await client_of(lambda _: response).get("/x")
    assert len(str(caught.value)) < 600


async def test_something_else_on_the_port_is_not_taken_for_drpo() -> None:
    async def other(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b'["not drpo"]'})

    async with listening(other) as url:
        assert not await is_running(url)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("depth=8", ("depth", 8)),
        ("skip_threshold=4.5", ("skip_threshold", 4.5)),
        ('judge={"temperature": 0}', ("judge", {"temperature": 0})),
        ("name=a=b", ("name", "a=b")),
        ("name=", ("name", "")),
        ("depth=NaN", ("depth", "NaN")),
        ("depth=-Infinity", ("depth", "-Infinity")),
    ],
)
def test_a_setting_is_read_as_json_where_it_is_json(text: str, setting: tuple[str, object]) -> None:
    assert parse_setting(text) == setting


@pytest.mark.parametrize("text", ["depth", "=8", ""])
def test_a_setting_without_a_name_or_a_value_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="write name=value"):
        parse_setting(text)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000"),
        ("https://drpo.test/below/v1", "https://drpo.test/below"),
    ],
)
def test_a_url_may_be_the_one_that_sdks_are_given(given: str, url: str) -> None:
    assert read_base_url(given) == url


@pytest.mark.parametrize(
    "given", ["127.0.0.1:8000", "localhost", "ftp://x", "http://", "http://a:port", "", "/v1"]
)
def test_what_is_no_url_is_refused(given: str) -> None:
    with pytest.raises(InvalidInputError, match="is no URL: write it like http"):
        read_base_url(given)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("localhost", "http://localhost:80"),
        ("10.1.2.3", "http://10.1.2.3:80"),
        ("::1", "http://[::1]:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104
        ("::", "http://[::1]:80"),
    ],
)
def test_a_service_on_all_addresses_is_reached_on_loopback(host: str, url: str) -> None:
    assert local_url(host, 80) == url
