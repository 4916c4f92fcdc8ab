"""``drpo serve --vllm`` on a program that behaves like vLLM."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.server import embedded_service, work
from app.settings import Settings, load_settings
from app.vllm.opening import open_vllm
from app.vllm_settings import with_vllm
from optimizer.errors import InvalidInputError
from tests.app.vllm.fake_command import FakeVllm, die, is_running, until
from tests.e2e.processes import Process, free_port

MODEL = "some/tiny"
PRESENT = "a-key-of-another-backend"


@pytest.fixture
def fake(tmp_path: Path) -> FakeVllm:
    return FakeVllm(tmp_path)


@asynccontextmanager
async def serving(
    fake: FakeVllm, sqlite_url: str, **behaviour: object
) -> AsyncIterator[tuple[Process, httpx.AsyncClient, asyncio.subprocess.Process]]:
    """``drpo serve --vllm`` once it serves."""
    port = free_port()
    environment = {
        **os.environ,
        "DRPO_DATABASE__URL": sqlite_url,
        "DRPO_SERVER__PORT": str(port),
        "DRPO_SERVER__API_KEY": "sk-ours-0123456789abcdef",
        "DRPO_VLLM__COMMAND": str(fake.command),
        "DRPO_VLLM__FIRST_RESTART_SECONDS": "0.01",
        "DRPO_VLLM__MAX_RESTARTS": "1",
        "FAKE_VLLM": json.dumps(behaviour),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "serve", "--vllm", MODEL,
        env=environment, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    headers = {"authorization": "Bearer sk-ours-0123456789abcdef"}
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
            await until_serving(process)
            yield Process(process, url), client, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until_serving(process: asyncio.subprocess.Process) -> list[str]:
    """What it has said until it served."""
    assert process.stderr is not None
    said: list[str] = []
    async for line in process.stderr:
        said.append(line.decode())
        if "drpo serves" in said[-1]:
            return said
    raise AssertionError("".join(said))


async def readiness(client: httpx.AsyncClient, state: str) -> httpx.Response:
    """What the probe says as soon as it says that vLLM is in this state."""
    async with asyncio.timeout(30):
        while (  # noqa: ASYNC110 - it tells nobody
            found := await client.get("/readyz")
        ).json()["checks"].get("vllm") != state:
            await asyncio.sleep(0.05)
    return found


@pytest.mark.slow
async def test_chat_is_answered_by_the_model_and_the_server_is_started_again_and_stopped_with_us(
    fake: FakeVllm, sqlite_url: str
) -> None:
    async with serving(fake, sqlite_url, slow_for=2) as (process, client, _):
        assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == [MODEL]
        question = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
        answer = await client.post("/v1/chat/completions", json=question)
        assert answer.json()["choices"][0]["message"]["content"] == f"{MODEL} says hello"
        assert (await client.get("/readyz")).json()["checks"]["vllm"] == "ok"
        started = fake.starts()[0]
        assert not [name for name in started["env"] if name.startswith("DRPO_")]
        assert "sk-ours-0123456789abcdef" not in json.dumps(started)
        port = int(started["argv"][started["argv"].index("--port") + 1])
        await die(port)
        await until(lambda: len(fake.starts()) == 2)
        assert (await readiness(client, "ok")).status_code == 200
        assert (await client.post("/v1/chat/completions", json=question)).status_code == 200
        assert await process.terminate() == 0
    assert not is_running(fake.starts()[1]["pid"])


@pytest.mark.slow
async def test_a_service_that_is_killed_leaves_no_server_behind(fake: FakeVllm, sqlite_url: str) -> None:
    async with serving(fake, sqlite_url) as (process, _, _):
        server = fake.starts()[0]["pid"]
        await process.kill()
    await until(lambda: not is_running(server))


@pytest.mark.slow
async def test_one_that_is_told_to_stop_during_the_start_ends_both(fake: FakeVllm, sqlite_url: str) -> None:
    environment = {
        **os.environ,
        "DRPO_DATABASE__URL": sqlite_url,
        "DRPO_VLLM__COMMAND": str(fake.command),
        "FAKE_VLLM": json.dumps({"slow_for": 10**6}),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "serve", "--vllm", MODEL,
        env=environment, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await until(fake.has_started)
    await until(lambda: bool(fake.starts()))
    process.terminate()
    await process.communicate()
    assert process.returncode == -signal.SIGTERM
    await until(lambda: not is_running(fake.starts()[0]["pid"]))


@pytest.mark.slow
async def test_a_server_that_is_given_up_makes_the_service_unready(fake: FakeVllm, sqlite_url: str) -> None:
    async with serving(fake, sqlite_url, fails_at=list(range(2, 10))) as (process, client, _):
        argv = fake.starts()[0]["argv"]
        await die(int(argv[argv.index("--port") + 1]))
        ready = await readiness(client, "failed")
        assert ready.status_code == 503
        assert (await client.get("/livez")).status_code == 200
        assert await process.terminate() == 0


def test_the_model_fills_the_roles_that_nobody_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    alone = load_settings(above={"vllm": {"model": "/models/tiny"}})
    assert list(alone.backends) == ["vllm"]
    assert [(name, target.model) for name, target in alone.targets.items()] == [("tiny", "tiny")]
    assert {role.model for _, role in alone.named_roles()} == {"tiny"}
    config = tmp_path / "drpo.toml"
    config.write_text(
        """
        [vllm]
        name = "mine"
        port = 8123
        [backends.vllm]
        max_concurrency = 7
        [targets.mine.cache]
        ttl_seconds = 5
        [backends.hosted]
        base_url = "https://api.example.com/v1"
        [roles]
        proposer = { backend = "hosted", model = "strong" }
        selector = { backend = "hosted", model = "strong" }
        judge = { backend = "hosted", model = "strong" }
        """,
        encoding="utf-8",
    )
    beside = load_settings(above={"vllm": {"model": "some/tiny"}})
    assert {role.model for _, role in beside.named_roles()} == {"strong"}
    assert beside.backends["vllm"].max_concurrency == 7
    assert str(beside.backends["vllm"].base_url) == "http://127.0.0.1:8123/v1"
    cache = beside.targets["mine"].cache
    assert cache is not None
    assert cache.ttl_seconds == 5
    assert (beside.targets["mine"].backend, beside.targets["mine"].model) == ("vllm", "mine")


@pytest.mark.parametrize(
    ("model", "name"),
    [("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"), ("/models/tiny/", "tiny"), ("./tiny", "tiny"), ("gpt2", "gpt2")],
)
def test_a_folder_is_called_by_its_own_name(model: str, name: str) -> None:
    settings = Settings.model_validate({"vllm": {"model": model}})
    assert list(settings.targets) == [name]


async def test_a_process_that_starts_no_server_needs_to_know_where_it_is(
    sqlite_url: str, postgres_url: str
) -> None:
    given = {"vllm": {"model": MODEL}, "database": {"url": sqlite_url}}
    with pytest.raises(InvalidInputError, match=r"set vllm\.port to a fixed one"):
        async with embedded_service(Settings.model_validate(given)):
            pass
    given["database"] = {"url": postgres_url}
    with pytest.raises(InvalidInputError, match=r"set vllm\.port to a fixed one"):
        await work(Settings.model_validate(given), lambda _: None)


async def test_a_port_that_another_program_holds_is_refused(fake: FakeVllm) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        given = {"model": MODEL, "command": str(fake.command), "port": other.getsockname()[1]}
        settings = Settings.model_validate(with_vllm({"vllm": given}))
        with pytest.raises(InvalidInputError, match="cannot be had") as caught:
            async with open_vllm(settings, tell=print):
                raise AssertionError("it was started")
    assert caught.value.param == "vllm.port"
    assert not (fake.folder / "starts.jsonl").exists()
