"""Jobs on a real vLLM whose words make sense: the server does all the work, simulated models say the words.

A tiny model with random weights babbles, and a job whose judge babbles ends at once. So each request of a job
goes to the server as it is, over real HTTP, except that the answer has to be as long as the one that the
simulated model of that name gives (four characters a token, at most 32 tokens, which two cores can bear);
when the server has answered, its text is exchanged for that one. Prompts, tokens, their number, cache and
time are the server's own.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import orjson
from typing_extensions import override
from yarl import URL

from app.backend_settings import SimulatedSettings
from app.commands.api_client import ApiClient, api_client
from app.llm import http
from app.llm.capabilities import Capabilities
from app.llm.connections import BackendResponse, Connections
from app.llm.simulated.backend import SimulatedBackend
from app.server import embedded_service
from app.settings import BackendSettings, Settings
from optimizer.concurrency import run_together
from tests.vllm.server import VllmServer, running
from tests.vllm.whole_response import WholeResponse

ENVIRONMENT = "VLLM"
TARGET, CRITIC = "simulated-small", "simulated-critic"
_CHARACTERS_PER_TOKEN = 4
_MOST_TOKENS = 32
"""Of an answer; two cores write a thousand a second, and a job's answers have a hundred thousand."""
_LOOK_SECONDS = 1.0
_WARMING: dict[str, Any] = {
    "preset": "paper",
    "label": None,
    "held_out": 0,
    "settings": {
        "depth": 2,
        "max_depth_increase": 0,
        "beam_width": 1,
        "proposals_per_candidate": 1,
        "minibatch_size": 1,
        "k": 1,
    },
}
_JSON = {"content-type": "application/json"}
_FINAL = {"succeeded", "failed", "cancelled"}


class NotInstalledError(Exception):
    """There is no vLLM here."""


@contextmanager
def vllm_server(*, memory: str) -> Iterator[VllmServer]:
    """A server of our own that answers to the simulated models' names; its prefix cache can be emptied.

    Raises:
        NotInstalledError: ``make vllm-tests`` has not installed one.
    """
    environment = os.environ  # noqa: TID251 - the server of the tests finds its programs there
    place = Path(environment.setdefault(ENVIRONMENT, ".venv-vllm"))
    if not (place / "bin" / "vllm").exists():
        raise NotInstalledError(f"there is no vLLM in {place}: `make vllm-tests` installs it")
    environment["VLLM_SERVER_DEV_MODE"] = "1"
    flags = ("--max-model-len", "8192", "--served-model-name", TARGET, CRITIC)
    with running(*flags, memory=memory, adapter=False) as server:
        yield server


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """What goes to the server for a request of a job, and what the job gets to read."""

    body: bytes
    reply: dict[str, Any]


class Shadow(Connections):
    """Sends each request on, and exchanges the text of the answer.

    Attributes:
        sent: what went to the server, in the order in which it went.
    """

    def __init__(
        self, carrier: Connections, words: SimulatedBackend, exchanges: dict[bytes, Exchange]
    ) -> None:
        """Requests by ``carrier``, texts by ``words``.

        ``exchanges`` are those of earlier requests: making them takes no time in a run that is timed.
        """
        self.sent: list[bytes] = []
        self._carrier = carrier
        self._words = words
        self._exchanges = exchanges

    @override
    async def post(self, url: URL, headers: Mapping[str, str], content: bytes) -> BackendResponse:
        exchange = self._exchanges.get(content)
        if exchange is None:
            answer = self._words.answer("POST", url.path, content)
            reply = orjson.loads(b"".join(answer.frames))
            exchange = Exchange(body=as_sent(orjson.loads(content), reply), reply=reply)
            self._exchanges[content] = exchange
        self.sent.append(exchange.body)
        response = await self._carrier.post(url, headers, exchange.body)
        try:
            told = b"".join([piece async for piece in response.pieces()])
        finally:
            await response.aclose()
        if response.status == HTTPStatus.OK:
            told = orjson.dumps({**exchange.reply, "usage": orjson.loads(told)["usage"]})
        return WholeResponse(response.status, _JSON, told)

    @override
    async def aclose(self) -> None:
        await self._carrier.aclose()


def as_sent(body: dict[str, Any], reply: dict[str, Any]) -> bytes:
    """The request as the server gets it: its answer is as long as ``reply``, and of any form."""
    texts = [choice["message"]["content"] for choice in reply["choices"]]
    length = max(len(text) for text in texts) // _CHARACTERS_PER_TOKEN
    length = min(max(1, length), _MOST_TOKENS)
    # A seed kills vLLM 0.32 on the CPU where a prompt is longer than a step takes: generators there have no
    # offset that could be set back.
    for name in ("response_format", "seed"):
        body.pop(name, None)
    return orjson.dumps({**body, "max_tokens": length, "min_tokens": length, "ignore_eos": True})


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRun:
    """One job on the server.

    Attributes:
        seconds: of its work.
        sent: its requests, as the server got them.
        cache: what the job's report says of cached prompt tokens.
        best_reward: what it found, which is the same whatever the order of the requests.
    """

    seconds: float
    sent: tuple[bytes, ...]
    cache: dict[str, Any]
    best_reward: float


class JobsOnVllm:
    """Runs the same job again and again."""

    def __init__(self, server: VllmServer, *, concurrency: int, examples: str = "first") -> None:
        """Jobs on ``server``, with so many requests in flight at most, examples standing as they say."""
        self._server = server
        self._concurrency = concurrency
        self._examples = examples
        self._exchanges: dict[bytes, Exchange] = {}

    async def run(self, job: dict[str, Any], *, order: str) -> JobRun:
        """One job, on a fresh store and an empty prefix cache."""
        await self.empty_cache()
        async with self._service(order) as (client, shadow):
            found = await _finished(client, job)
        return JobRun(
            seconds=found["finished_at"] - found["started_at"],
            sent=tuple(shadow.sent),
            cache=found["result"]["prompt_cache"],
            best_reward=found["result"]["best_reward"],
        )

    async def run_all(self, jobs: Sequence[dict[str, Any]], *, order: str) -> tuple[float, list[bytes]]:
        """All ``jobs`` beside each other; seconds from the first start to the last end, and what was sent.

        A small job runs before them: a service that has just started compiles its SQL first.
        """
        async with self._service(order, jobs=len(jobs)) as (client, shadow):
            await _finished(client, _WARMING)
            shadow.sent.clear()
            await self.empty_cache()
            found = await run_together(_finished(client, job) for job in jobs)
        began = min(job["started_at"] for job in found)
        return max(job["finished_at"] for job in found) - began, shadow.sent

    async def empty_cache(self) -> None:
        """Have the server forget all prefixes."""
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.post(f"{self._server.root}/reset_prefix_cache")).raise_for_status()

    async def counters(self) -> dict[str, float]:
        """The server's own counters of prompt tokens: ``queries`` and ``hits`` of its prefix cache."""
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"{self._server.root}/metrics")).text
        found = {}
        for name in ("queries", "hits"):
            lines = [
                line for line in text.splitlines() if line.startswith(f"vllm:prefix_cache_{name}_total{{")
            ]
            found[name] = sum(float(line.rpartition(" ")[2]) for line in lines)
        return found

    @asynccontextmanager
    async def _service(self, order: str, *, jobs: int = 1) -> AsyncIterator[tuple[ApiClient, Shadow]]:
        opened: list[Shadow] = []
        original = http.open_connections

        def open_shadow(settings: BackendSettings) -> Connections:
            words = SimulatedBackend(SimulatedSettings())
            opened.append(Shadow(original(settings), words, self._exchanges))
            return opened[-1]

        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.object(http, "open_connections", open_shadow),
        ):
            async with (
                embedded_service(self._settings(folder, order, jobs)) as base_url,
                api_client(base_url, None) as client,
            ):
                yield client, opened[0]

    def _settings(self, folder: str, order: str, jobs: int) -> Settings:
        critic = {"backend": "vllm", "model": CRITIC}
        return Settings.model_validate(
            {
                "database": {"url": f"sqlite+aiosqlite:///{Path(folder) / 'jobs.db'}"},
                "backends": {
                    "vllm": {
                        "base_url": self._server.url,
                        "capabilities": Capabilities().to_json(),  # nothing is probed
                        "max_concurrency": self._concurrency,
                        "request_order": order,
                    }
                },
                "targets": {
                    TARGET: {
                        "backend": "vllm",
                        "model": TARGET,
                        "alignment": {"examples": self._examples},
                    }
                },
                "roles": {"proposer": critic, "selector": critic, "judge": critic},
                "jobs": {"max_running": jobs},
            }
        )


async def _finished(client: ApiClient, job: dict[str, Any]) -> dict[str, Any]:
    """The job once it has succeeded.

    Raises:
        RuntimeError: it has not.
    """
    found = await client.post("/v1/optimizations", {"target": TARGET, **job})
    while found["status"] not in _FINAL:
        await asyncio.sleep(_LOOK_SECONDS)
        found = await client.get(f"/v1/optimizations/{found['id']}")
    if found["status"] != "succeeded":
        raise RuntimeError(f"the job {found['status']}: {found['error']}")
    return dict(found)
