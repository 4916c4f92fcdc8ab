"""Keeping vLLM's server running: waiting until it is well, and starting it again when it dies."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal, Self, TypeAlias

from app.vllm.child import VllmChild
from app.vllm.command import build_command
from app.vllm.failures import explain
from app.vllm_settings import LOOPBACK, VllmSettings
from optimizer.errors import InvalidInputError

_LOGGER = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 0.25
_TELL_SECONDS: Final = 5.0
_STEADY_SECONDS: Final = 60.0
"""Of health, after which earlier failures are forgotten."""
_LARGEST_POWER: Final = 20

VllmState: TypeAlias = Literal["starting", "ok", "restarting", "failed", "stopped"]
Tell: TypeAlias = Callable[[str], None]


class SupervisedVllm:
    """The server that the settings ask for. Use as ``async with``: inside, it has been well once."""

    def __init__(
        self,
        settings: VllmSettings,
        environment: Mapping[str, str],
        *,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """A server that is not started yet.

        Args:
            settings: with a model and a port.
            environment: for the child.
            tell: hears how the first start goes, in words.
            clock: monotonic seconds.
            sleep: how to wait.

        Raises:
            InvalidInputError: the command is not there.
        """
        self._settings = settings
        self._command = build_command(settings, environment)
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._url = f"http://{LOOPBACK}:{settings.port}"
        self._child: VllmChild | None = None
        self._watching: asyncio.Task[None] | None = None
        self._state: VllmState = "starting"

    @property
    def state(self) -> VllmState:
        """How it is: ``failed`` where it died so often that it is not started any more."""
        return self._state

    async def __aenter__(self) -> Self:
        """Start it and wait until it is well.

        Raises:
            InvalidInputError: it ended, or took longer than ``start_seconds``.
        """
        try:
            child = await self._start(self._tell)
        except BaseException:
            await self._stop()
            raise
        self._watching = asyncio.create_task(self._keep(child), name="watch over vLLM")
        return self

    async def __aexit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Stop it."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._stop()
        self._state = "stopped"

    async def _start(self, tell: Tell) -> VllmChild:
        """Start it once.

        Raises:
            InvalidInputError: it ended, or took longer than ``start_seconds``.
        """
        settings, began = self._settings, self._clock()
        build = "the CPU build" if self._command.is_cpu else "vLLM"
        tell(f"starting {settings.served_name} with {build} at {self._url}")
        child = self._child = await VllmChild.start(
            self._command, self._url, stop_seconds=settings.stop_seconds
        )
        told = began
        while not await child.is_well():
            if child.has_ended:
                status = await child.wait()
                raise InvalidInputError(
                    f"vLLM ended with status {status} before it answered; {explain(child.tail)}",
                    param="vllm",
                )
            now = self._clock()
            if now - began > settings.start_seconds:
                raise InvalidInputError(
                    f"vLLM was not ready after {settings.start_seconds:.0f} s (vllm.start_seconds); "
                    f"{explain(child.tail)}",
                    param="vllm.start_seconds",
                )
            if now - told >= _TELL_SECONDS:
                told = now
                tell(f"vLLM is loading {settings.served_name} ({now - began:.0f} s)")
            await self._sleep(_LOOK_SECONDS)
        tell(f"vLLM is ready after {self._clock() - began:.0f} s")
        self._state = "ok"
        return child

    async def _keep(self, first: VllmChild) -> None:
        child: VllmChild | None = first
        failures, began = 0, self._clock()
        while True:
            if child is not None:
                status = await child.wait()
                _LOGGER.error("vLLM ended with status %d; %s", status, explain(child.tail))
                failures = 0 if self._clock() - began >= _STEADY_SECONDS else failures
            self._state = "restarting"
            if failures >= self._settings.max_restarts:
                break
            await self._sleep(_delay(self._settings, failures))
            failures += 1
            child = await self._start_again()
            began = self._clock()
        _LOGGER.critical(
            "vLLM is not started again: it has died %d times in a row (vllm.max_restarts)", failures + 1
        )
        self._state = "failed"

    async def _start_again(self) -> VllmChild | None:
        await self._stop()
        try:
            return await self._start(_LOGGER.warning)
        except (InvalidInputError, OSError) as error:
            _LOGGER.error("%s", error)  # noqa: TRY400 - its message is all there is to say
            return None

    async def _stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.stop()


def _delay(settings: VllmSettings, failures: int) -> float:
    doubled = settings.first_restart_seconds * float(2 ** min(failures, _LARGEST_POWER))
    return min(doubled, settings.longest_restart_seconds)
