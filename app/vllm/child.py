"""One run of vLLM's server: its process, its log, and whether it is well."""

import asyncio
import logging
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx

from app.llm.connections import open_plain_transport
from app.vllm import keeper
from app.vllm.command import VllmCommand

_LOGGER = logging.getLogger("app.vllm.output")
_TAIL_LINES: Final = 40
_LONGEST_LINE: Final = 4096
_CHUNK: Final = 2**16
_HEALTH_SECONDS: Final = 5.0
_EXTRA_SECONDS: Final = 5.0
"""That the keeper may take beyond its own patience."""
_LEVEL: Final = re.compile(r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_LINE_ENDS: Final = re.compile(rb"[\r\n]+")


class VllmChild:
    """A process that is running, or has ended. Start it with ``start``; ``stop`` it in any case."""

    def __init__(self, process: Process, url: str, *, stop_seconds: float) -> None:
        """The server that ``process`` keeps and that listens at ``url``."""
        self._process = process
        self._url = url
        self._stop_seconds = stop_seconds
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._is_stopped = False
        self._reading = asyncio.create_task(self._read(), name="log of vLLM")

    @classmethod
    async def start(cls, command: VllmCommand, url: str, *, stop_seconds: float) -> "VllmChild":
        """Start ``command``, whose server will listen at ``url``.

        It ends with this process, however that ends, after ``stop_seconds`` by force.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(Path(keeper.__file__)), str(stop_seconds), *command.arguments,
            stdin=PIPE, stdout=PIPE, stderr=STDOUT, env=dict(command.environment), start_new_session=True,
        )  # fmt: skip
        return cls(process, url, stop_seconds=stop_seconds)

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of its log."""
        return tuple(self._tail)

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.returncode is not None

    async def wait(self) -> int:
        """Wait for its end and for the last of its log; its exit status, above 128 after a signal."""
        status = await self._process.wait()
        await asyncio.wait([self._reading], timeout=_EXTRA_SECONDS)
        return status

    async def is_well(self) -> bool:
        """Whether it answers that its engine works."""
        try:
            async with asyncio.timeout(_HEALTH_SECONDS), open_plain_transport() as transport:
                request = httpx.Request("GET", f"{self._url}/health", extensions={"timeout": {}})
                response = await transport.handle_async_request(request)
                await response.aclose()
        except (httpx.HTTPError, OSError, TimeoutError):
            return False
        return response.is_success

    async def stop(self) -> None:
        """Ask it to stop, kill it where it does not, and return when it is gone."""
        self._is_stopped = not self.has_ended
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(self._stop_seconds + _EXTRA_SECONDS):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        self._reading.cancel()
        await asyncio.wait([self._reading])

    async def _read(self) -> None:
        stream, rest = self._process.stdout, b""
        while stream is not None and (chunk := await stream.read(_CHUNK)):
            *lines, rest = _LINE_ENDS.split(rest + chunk)
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._note(line)
        self._note(rest)

    def _note(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode(errors="replace").rstrip()
        if not text:
            return
        self._tail.append(text)
        found = _LEVEL.search(text[:80])
        level: int = getattr(logging, found[1]) if found else logging.INFO
        # vLLM's parts take each other's end for an error, also where they were told to end
        _LOGGER.log(min(level, logging.INFO) if self._is_stopped else level, "%s", text)
