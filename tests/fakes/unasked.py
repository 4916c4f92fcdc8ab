"""An upstream that nobody may ask."""

from contextlib import AbstractAsyncContextManager

from typing_extensions import override

from app.llm.http import RawResponse
from app.llm.passthrough import Frames, Upstream
from app.llm.wire import Path


class Unasked(Upstream):
    """Fails the test that asks it."""

    @override
    async def send(self, body: bytes, path: Path) -> RawResponse:
        raise AssertionError("nobody was to be asked")

    @override
    def stream(self, body: bytes, path: Path) -> AbstractAsyncContextManager[Frames]:
        raise AssertionError("nobody was to be asked")
