import asyncio

import pytest
from starlette.types import Message

from app.chat.disconnects import ClientLeftError, while_client_listens


class Client:
    """Stays until it is told to go."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()
        self._messages: list[Message] = [{"type": "http.request"}]

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop()
        await self.leaves.wait()
        return {"type": "http.disconnect"}


async def test_the_result_is_given_while_the_client_listens() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await while_client_listens(Client().receive, work()) == 7


async def test_a_failure_comes_through() -> None:
    async def work() -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await while_client_listens(Client().receive, work())


async def test_work_is_cancelled_and_cleaned_up_before_the_leaving_is_told() -> None:
    client = Client()
    history: list[str] = []

    async def work() -> None:
        try:
            client.leaves.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            history.append("closed")

    with pytest.raises(ClientLeftError):
        await while_client_listens(client.receive, work())
    assert history == ["closed"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0  # what goes on now is not cancelled


async def test_a_cancellation_from_outside_goes_on_though_the_client_leaves_as_well() -> None:
    client = Client()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    request = asyncio.create_task(while_client_listens(client.receive, work()))
    await begun.wait()
    client.leaves.set()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_a_failure_while_closing_is_not_reported_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    client = Client()

    async def work() -> None:
        try:
            client.leaves.set()
            await asyncio.Event().wait()
        finally:
            raise LookupError("while closing")

    with pytest.raises(ClientLeftError):
        await while_client_listens(client.receive, work())
    assert "never retrieved" not in caplog.text


async def test_cancelling_the_request_cancels_its_work() -> None:
    begun = asyncio.Event()
    history: list[str] = []

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            history.append("closed")

    request = asyncio.create_task(while_client_listens(Client().receive, work()))
    await begun.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert history == ["closed"]
