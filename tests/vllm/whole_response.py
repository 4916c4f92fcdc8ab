"""A backend's answer that is there in one piece."""

from collections.abc import AsyncIterator, Mapping

from typing_extensions import override

from app.llm.connections import BackendResponse


class WholeResponse(BackendResponse):
    """Holds nothing but what it was given: no connection stands behind it."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """The answer with that status, headers and body."""
        self._status = status
        self._headers = headers
        self._body = body

    @property
    @override
    def status(self) -> int:
        return self._status

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @override
    async def pieces(self) -> AsyncIterator[bytes]:
        yield self._body

    @override
    def finish(self) -> None:
        """Nothing is left."""

    @override
    async def aclose(self) -> None:
        """Nothing is held."""
