"""From a request for a response to the chat call that it becomes."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from app.chat.answers import AnswerReader, Reader
from app.chat.calls import PreparedCall
from app.chat.service import ChatService
from app.responses.answers import ResponseReader
from app.responses.objects import ResponseFrame
from app.responses.reading import ResponseRequest

_KEY_BYTES = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseService:
    """Answers requests for responses; ``chat`` knows models and their prompts."""

    chat: ChatService

    async def prepare(self, request: ResponseRequest) -> PreparedCall:
        """The chat call that answers ``request``.

        Raises:
            ApiError: 404 for an unknown model, version or label; 400 for what cannot be aligned.
            StoreUnavailableError: the database is down, and memory does not know the answer.
            ModelError: the model had to be asked what it can do, and did not answer.
        """
        asked = await self.chat.with_model(request.chat)
        frame = ResponseFrame(
            key=secrets.token_hex(_KEY_BYTES),
            created_at=int(datetime.now(UTC).timestamp()),
            model=asked.model,
            asked=request.asked,
        )

        def reader(inner: AnswerReader) -> Reader:
            return ResponseReader(inner, frame)

        return await self.chat.prepare(asked, reader=reader, tells_usage=True, names_limit=True)
