"""The processes of the gateway benchmark: upstream, peers, and the service with a prompt to align by."""

import asyncio
import contextlib
import json
import os
import shlex
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.datasets.builtin_sets import builtin_queries
from app.labelled_prompts import PRODUCTION
from app.llm.capabilities import Capabilities
from app.stored_examples import example_to_json
from benchmarks.gateway_load import request_bytes
from benchmarks.gateway_peers import PEERS
from optimizer.types import Example
from store.connections import Database
from store.records.prompts import LabelMoveDraft, PromptVersionDraft
from store.repositories.prompts import PromptRepository
from store.schema import upgrade

OURS, DIRECT = "drpo", "direct"
MODELS = ("fast", "slow", "paced", "flood", "endless")
_ADMIN = "sk-benchmark-0123456789"
_START_SECONDS = 60
_END_SECONDS = 10
_EXAMPLES = 64
_K = 3
_PROMPT = """\
You are an assistant that people turn to with all sorts of matters.

- Say the main point first, and explain why it holds.
- Use plain words; define what a beginner would not know.
- Say so where something is uncertain."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Something to send requests to.

    Attributes:
        pid: its process.
        headers: further ones that its requests have.
        only_whole: it is asked for whole answers that come at once, and for nothing else.
    """

    url: str
    key: str
    pid: int
    headers: tuple[str, ...] = ()
    only_whole: bool = False

    def request(self, model: str, *, stream: bool) -> bytes:
        """A request to it, of about a kilobyte."""
        return request_bytes(self.url, self.key, model, stream=stream, headers=self.headers)

    def memory_bytes(self) -> int:
        """Its proportional set size: memory of its own, and its share of what it shares."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the kernel does not say how much memory a process has")

    def cpu_seconds(self) -> float:
        """What it has used of the CPU since it began, all its threads together."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        user, system = int(fields[11]), int(fields[12])
        return (user + system) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class InstalledGateway:
    """A published gateway that is installed here. In both texts ``{port}`` and ``{upstream}`` are filled in.

    Attributes:
        command: starts it, without a shell. It is to be the gateway itself and not what starts one: this
            process is the one whose CPU is read.
        headers: further ones that its requests have, such as ``x-name: value``.
    """

    command: str
    headers: tuple[str, ...] = ()


@asynccontextmanager
async def open_places(installed: Mapping[str, InstalledGateway]) -> AsyncIterator[Mapping[str, Place]]:
    """The upstream itself, each peer, each gateway of ``installed`` and the service, all running.

    With two cores or more the gateways have one to themselves, and load and upstream another.
    """
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(running_module("benchmarks.gateway_upstream"))
        places = {DIRECT: upstream}
        for name in PEERS:
            places[name] = await stack.enter_async_context(
                running_module("benchmarks.gateway_peers", name, then=[upstream.url])
            )
        for name, gateway in installed.items():
            places[name] = await stack.enter_async_context(running_gateway(gateway, upstream.url))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        places[OURS] = await stack.enter_async_context(_service(folder, upstream.url))
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            for name, place in places.items():
                _pin(place.pid, cores[0] if name != DIRECT else cores[1])
            _pin(os.getpid(), cores[1])
        yield places


def _pin(pid: int, core: int) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


@asynccontextmanager
async def running_module(module: str, *before: str, then: Sequence[str] = ()) -> AsyncIterator[Place]:
    """A module that serves on the port it is told, between the arguments ``before`` and ``then``."""
    port = _free_port()
    arguments = (sys.executable, "-m", module, *before, str(port), *then)
    process = await asyncio.create_subprocess_exec(*arguments)
    try:
        await _until_it_listens(process, port)
        yield Place(url=f"http://127.0.0.1:{port}", key="none", pid=process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def running_gateway(gateway: InstalledGateway, upstream: str) -> AsyncIterator[Place]:
    """An installed gateway that forwards to ``upstream``; all that it has started ends with it.

    Raises:
        RuntimeError: it ended instead of listening; with the last of what it has said.
    """
    port = _free_port()

    def filled(text: str) -> str:
        return text.replace("{port}", str(port)).replace("{upstream}", upstream)

    command = [filled(word) for word in shlex.split(gateway.command)]
    with tempfile.TemporaryFile() as said:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
        try:
            try:
                await _until_it_listens(process, port)
            except RuntimeError as error:
                said.seek(0)
                raise RuntimeError(f"{error}: {said.read()[-2000:].decode(errors='replace')}") from None
            headers = tuple(filled(header) for header in gateway.headers)
            url = f"http://127.0.0.1:{port}"
            yield Place(url=url, key="none", pid=process.pid, headers=headers, only_whole=True)
        finally:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                os.killpg(process.pid, signal.SIGTERM)
                await asyncio.wait_for(process.wait(), _END_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def _until_it_listens(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(_START_SECONDS):
        while not await listens(port):
            if process.returncode is not None:
                raise RuntimeError(f"ended with {process.returncode} instead of listening")
            await asyncio.sleep(0.05)


async def listens(port: int) -> bool:
    """Whether a process listens on the port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@asynccontextmanager
async def _service(folder: Path, upstream: str) -> AsyncIterator[Place]:
    url = f"sqlite:///{folder}/drpo.db"
    await _write_prompts(url)
    role = '{ backend = "b", model = "fast" }'
    known = ", ".join(f"{name} = {json.dumps(value)}" for name, value in Capabilities().to_json().items())
    lines = [
        f'database.url = "{url}"',
        "server.port = 0",
        f'server.api_key = "{_ADMIN}"',
        f'backends.b = {{ base_url = "{upstream}/v1", capabilities = {{ {known} }} }}',
        *(f'targets.{model} = {{ backend = "b", model = "{model}" }}' for model in MODELS),
        f"roles = {{ proposer = {role}, selector = {role}, judge = {role} }}",
        "jobs.max_running = 0",
    ]
    config = folder / "drpo.toml"
    config.write_text("\n".join(lines), encoding="utf-8")
    log = (folder / "log").open("wb")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "serve", "--config", str(config)),
        stderr=asyncio.subprocess.PIPE,
        stdout=log,
    )
    told = process.stderr or asyncio.StreamReader()
    reading: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(_START_SECONDS):
            lines_told: list[bytes] = []
            while b"drpo serves" not in (line := await told.readline()):
                lines_told.append(line)
                if not line:
                    raise RuntimeError("the service did not start: " + b"".join(lines_told).decode())
        reading = asyncio.create_task(_drain(told))
        url = line.decode().split("serves ")[1].split("/v1")[0]
        yield Place(url=url, key=await _make_key(url), pid=process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        if reading is not None:
            await reading
        log.close()


async def _drain(told: asyncio.StreamReader) -> None:
    """Nothing waits for a log that nobody reads."""
    while await told.read(65536):
        pass


async def _make_key(url: str) -> str:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        headers = {"authorization": f"Bearer {_ADMIN}"}
        made = await client.post("/v1/keys", json={"name": "benchmark", "scopes": ["serve"]}, headers=headers)
        key = made.raise_for_status().json()["key"]
    if not isinstance(key, str):
        raise TypeError("a key is a text")
    return key


async def _write_prompts(url: str) -> None:
    """A version with examples for each model, labelled ``production``."""
    await upgrade(url)
    database = Database(url)
    try:
        prompts = PromptRepository(database)
        examples = tuple(
            example_to_json(Example(id=query.id, query=query.text, answer=f"Briefly: {query.text}"))
            for query in builtin_queries()[:_EXAMPLES]
        )
        for model in MODELS:
            draft = PromptVersionDraft(
                model=model, system_prompt=_PROMPT, examples=examples, k=_K, sampling={}
            )
            version = await prompts.add_version(draft)
            await prompts.move_label(
                LabelMoveDraft(
                    model=model,
                    label=PRODUCTION,
                    version_id=version.id,
                    actor="benchmark",
                    reason="to be measured",
                )
            )
    finally:
        await database.close()
