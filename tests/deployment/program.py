"""What a container would do with its arguments and its environment, without a container."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

from tests.architecture.sources import ROOT

_COMMAND_LINE = "from app.cli import main; main()"
_READ_SETTINGS = "from app.settings import load_settings; print(load_settings().database.url)"


async def _python(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DRPO_")}
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        env={**inherited, **environment, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        cwd="/",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await running.communicate()
    return running.returncode or 0, output.decode()


async def settings_from(environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit code of reading the settings from ``environment``, and the database's URL or what is wrong."""
    return await _python(["-c", _READ_SETTINGS], environment)


async def knows_command(arguments: Sequence[str]) -> bool:
    """Whether ``drpo`` has the command that ``arguments`` name."""
    status, _ = await _python(["-c", _COMMAND_LINE, *arguments, "--help"], {})
    return status == 0
