"""From a request for a response to the chat call that it becomes."""

from dataclasses import dataclass
from datetime import UTC, datetime

from app.answer_ids import new_token
from app.chat.answers import AnswerReader, Reader
from app.chat.calls import PreparedCall
from app.chat.service import ChatService
from app.responses.answers import ResponseReader
from app.responses.objects import ResponseFrame
from app.responses.reading import ResponseRequest


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
        token = new_token()
        frame = ResponseFrame(
            key=token.hex(),
            created_at=int(datetime.now(UTC).timestamp()),
            model=asked.model,
            asked=request.asked,
        )

        def reader(inner: AnswerReader) -> Reader:
            return ResponseReader(inner, frame)

        return await self.chat.prepare(asked, reader=reader, tells_usage=True, names_limit=True, token=token)
