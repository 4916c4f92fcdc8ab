"""Running clients as programs: where they are installed, and what surrounds them."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.sources import ROOT

_SECONDS = 100
_DEAD_PROXY = "http://127.0.0.1:9"


def installed() -> Path:
    """The folder that ``requirements/clients.sh`` has filled; ``make client-tests`` says which it is."""
    return Path(os.environ["CLIENTS"])


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended, and what it printed."""

    code: int
    out: str
    err: str


async def run(*command: str | Path, home: Path, **environment: str) -> Ended:
    """Run a client to its end, with nothing of the developer's around it and no way out of this machine.

    Args:
        command: the program and its arguments; it runs in the root of the repository.
        home: a folder of its own, where it may keep files.
        environment: further variables.
    """
    running = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**_surroundings(home), **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            out, err = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return Ended(code=await running.wait(), out=out.decode(), err=err.decode())


def _surroundings(home: Path) -> Mapping[str, str]:
    """Whatever wants to leave the machine meets a proxy that is not there."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "HTTP_PROXY": _DEAD_PROXY,
        "HTTPS_PROXY": _DEAD_PROXY,
        "NO_PROXY": "127.0.0.1",
        "NODE_PATH": str(installed() / "node" / "node_modules"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANGSMITH_TRACING": "false",
        "INSPECT_LOG_DIR": str(home / "logs"),
        "PROMPTFOO_CONFIG_DIR": str(home / "promptfoo"),
        "PROMPTFOO_DISABLE_TELEMETRY": "1",
        "PROMPTFOO_DISABLE_UPDATE": "1",
        "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
        "PROMPTFOO_DISABLE_SHARING": "1",
    }
