"""A process whose jobs ask a backend that limits are shared for.

``python -m tests.app.llm.limits.crowd REDIS_URL PREFIX PORT MAXIMUM CALLERS``: ``CALLERS`` callers of one job
open a connection to ``PORT`` each, wait for a byte, close it, and begin again; until the process is ended.
"""

import asyncio
import contextlib
import os
import sys

from pydantic import SecretStr

from app.llm.limits.redis_exchange import RedisMeeting
from app.settings import BackendSettings
from tests.app.llm.limits.observed import BEAT, LEASE


async def main() -> None:
    """Ask for ever."""
    url, prefix, port, maximum, callers = sys.argv[1:]
    meeting = RedisMeeting(SecretStr(url), prefix=prefix)
    settings = BackendSettings.model_validate({"kind": "simulated", "max_concurrency": int(maximum)})
    limiter = meeting.limiters(beat_seconds=BEAT, lease_seconds=LEASE)("local", settings)

    async def call() -> None:
        while True:
            async with limiter.slot(f"job {os.getpid()}"):
                reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
                writer.write(b"%d\n" % os.getpid())
                await reader.read(1)
                writer.close()
                # what is gone here must be gone there before the place goes to somebody else
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    await asyncio.wait([asyncio.create_task(call()) for _ in range(int(callers))])


if __name__ == "__main__":
    asyncio.run(main())
