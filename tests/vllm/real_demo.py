"""``drpo demo --vllm`` as ``make demo-vllm`` runs it: the whole path on a real server, which then ends."""

import asyncio
import json
import signal
import uuid
from pathlib import Path

from tests.e2e.command import drpo
from tests.vllm.server import installed, tiny_model


def environment(mark: str) -> dict[str, str]:
    """Of the command; ``mark`` is in that of all processes that it starts."""
    return {
        "DRPO_VLLM__COMMAND": str(installed() / "bin" / "vllm"),
        "DRPO_VLLM__NAME": "tiny",
        "DRPO_VLLM__ARGUMENTS": json.dumps(
            ["--generation-config", "vllm", "--kv-cache-memory-bytes", "128M"]
        ),
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "120",
        "MARK": mark,
    }


def processes(mark: str) -> list[int]:
    """Those that run with ``mark`` in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            if state != "Z" and f"MARK={mark}\0".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except (OSError, IndexError):  # it has ended, or is not ours
            continue
    return found


async def test_the_demo_shows_the_whole_path_on_a_real_server_and_leaves_none(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    arguments = ("demo", "--vllm", str(tiny_model() / "model"))
    async with drpo(*arguments, folder=tmp_path, **environment(mark)) as command:
        await command.until_printed("vLLM is ready")
        assert len(processes(mark)) >= 3  # drpo, the keeper, vLLM
        ended = await command.ended()
    assert (ended.code, ended.err) == (0, "")
    assert processes(mark) == []
    assert (
        await asyncio.to_thread(lambda: list(tmp_path.glob("*drpo*"))) == []
    )  # vLLM leaves files of its own
    told = " ".join(ended.out.split())
    for part in (
        "The target tiny answers on a real vLLM",
        "a simulated judge cannot read what a real model says: the scores below mean nothing",
        "babble",
        "succeeded",
        "system prompt after",
        "scores of 1 to 5 by the simulated judge, on 30 held-out queries",
        "Verdict: ",
        "of them to vLLM, and",
        "vLLM 0.32",
        "of its prompt tokens came from its prefix cache",
        "answer of vLLM, alignment switched off",
        "What to do next with a real model",
    ):
        assert part in told, part


async def test_a_demo_that_is_killed_leaves_no_server(tmp_path: Path) -> None:
    mark = uuid.uuid4().hex
    arguments = ("demo", "--vllm", str(tiny_model() / "model"))
    async with drpo(*arguments, folder=tmp_path, **environment(mark)) as command:
        await command.until_printed("starting tiny")
        while len(processes(mark)) < 3:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
        command.send(signal.SIGKILL)
        await command.ended()
    async with asyncio.timeout(60):
        while processes(mark):  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.05)
