"""The installed ``drpo`` as a process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

DRPO = Path(sys.executable).with_name("drpo")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended, and what it printed."""

    code: int
    out: str
    err: str


class Command:
    """A running ``drpo``."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self._running = running
        self._out: list[bytes] = []
        self._err: list[bytes] = []

    async def until(self, text: str) -> str:
        """The first line on stderr with ``text`` in it; fails where the process ends without it."""
        return await _find(self._running.stderr, self._err, text)

    async def until_printed(self, text: str) -> str:
        """The same on stdout."""
        return await _find(self._running.stdout, self._out, text)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._running.send_signal(number)

    async def ended(self) -> Ended:
        """Wait for the end."""
        out, err = await self._running.communicate()
        code = await self._running.wait()
        return Ended(
            code=code, out=b"".join([*self._out, out]).decode(), err=b"".join([*self._err, err]).decode()
        )

    async def kill(self) -> None:
        """Make sure that nothing is left."""
        if self._running.returncode is None:
            self._running.kill()
            await self._running.communicate()


async def _find(stream: asyncio.StreamReader | None, seen: list[bytes], text: str) -> str:
    assert stream is not None
    while line := await stream.readline():
        seen.append(line)
        if text in line.decode():
            return line.decode()
    raise AssertionError(f"drpo ended without saying {text!r}: {b''.join(seen).decode()}")


@asynccontextmanager
async def drpo(*arguments: str, folder: Path, **environment: str) -> AsyncIterator[Command]:
    """Start ``drpo`` in ``folder`` with these settings; it is gone at the end of the block."""
    running = await asyncio.create_subprocess_exec(
        DRPO,
        *arguments,
        cwd=folder,
        env=_environment(folder, environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    command = Command(running)
    try:
        yield command
    finally:
        await command.kill()


async def run(*arguments: str, folder: Path, **environment: str) -> Ended:
    """Run ``drpo`` to its end."""
    async with drpo(*arguments, folder=folder, **environment) as command:
        return await command.ended()


def _environment(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    own = {
        "DRPO_DATABASE__URL": f"sqlite:///{folder / 'drpo.db'}",
        "DRPO_SERVER__PORT": "0",
        "COLUMNS": "100",
    }
    return {**os.environ, **own, "TMPDIR": str(folder), **given}
