"""From a request for a response to the chat call that it becomes."""

import dataclasses
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from app.chat.answers import AnswerReader, Reader
from app.chat.calls import PreparedCall
from app.chat.service import ChatService
from app.responses.answers import ResponseReader
from app.responses.objects import ResponseFrame
from app.responses.reading import ResponseRequest
from optimizer.types import ModelRole

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
        target = self.chat.target(asked.model)
        body = dict(asked.body)
        if target.api == "chat" and "max_completion_tokens" in body:
            can = await self.chat.models.capabilities(ModelRole.TARGET, asked.model)
            body[can.max_tokens_field] = body.pop("max_completion_tokens")
        frame = ResponseFrame(
            key=secrets.token_hex(_KEY_BYTES),
            created_at=int(datetime.now(UTC).timestamp()),
            model=asked.model,
            asked=request.asked,
        )

        def reader(inner: AnswerReader) -> Reader:
            return ResponseReader(inner, frame)

        as_chat = dataclasses.replace(asked, body=body)
        return await self.chat.prepare(as_chat, reader=reader, tells_usage=True)
