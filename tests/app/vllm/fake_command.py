"""Installing the program that behaves like vLLM, and what it has written down."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from app.vllm_settings import VllmSettings
from tests.e2e.processes import free_port

SOURCE = Path(__file__).parents[2] / "fakes" / "vllm_command.py"


class FakeVllm:
    """The program in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = folder / "vllm"
        self.command.write_text(f"#!{sys.executable}\n{SOURCE.read_text(encoding='utf-8')}", encoding="utf-8")
        self.command.chmod(0o700)

    def settings(self, **fields: object) -> VllmSettings:
        given = {"model": "some/tiny", "command": str(self.command), "port": free_port(), **fields}
        return VllmSettings.model_validate({"first_restart_seconds": 0.01, "stop_seconds": 5.0, **given})

    def environment(self, **behaviour: object) -> dict[str, str]:
        return {"PATH": os.defpath, "FAKE_VLLM": json.dumps(behaviour)}

    def has_started(self) -> bool:
        return (self.folder / "starts.jsonl").exists()

    def starts(self) -> list[dict[str, Any]]:
        """What each start was given."""
        record = self.folder / "starts.jsonl"
        return [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]


async def die(port: int, status: int = 1) -> None:
    """Have the server end."""
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            await client.post(f"http://127.0.0.1:{port}/die", json={"status": status})
        except httpx.TransportError:
            return
    raise AssertionError("it has answered")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that tells nobody."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether there is a process that has not ended; one that nobody has asked after yet has."""
    return bool(facts := _facts(pid)) and facts[0] != "Z"


def parent_of(pid: int) -> int:
    """The process that has started it."""
    return int(_facts(pid)[1])


def _facts(pid: int) -> list[str]:
    """What Linux says about a process from its state on; nothing where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
