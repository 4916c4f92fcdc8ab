"""Sessions of people who have signed in to the dashboard."""

from sqlalchemy import delete, insert, select

from store.clock import db_now
from store.connections import Database
from store.models.api_key import ApiKey
from store.models.web_session import WebSession
from store.records.web_sessions import WebSessionRecord
from store.repositories.keys import key_record


class WebSessionRepository:
    """Stores sessions under the SHA-256 of their tokens."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(
        self, digest: str, *, key_number: int | None, proof: str | None, lasts_seconds: float
    ) -> None:
        """Store a session that ends after ``lasts_seconds``, and drop those that have ended."""
        values = {"digest": digest, "key_number": key_number, "proof": proof}
        async with self._db.session() as session:
            await session.execute(delete(WebSession).where(WebSession.expires_at <= db_now()))
            await session.execute(insert(WebSession).values(**values, expires_at=db_now() + lasts_seconds))

    async def find(self, digest: str) -> WebSessionRecord | None:
        """The session, or None where there is none or it has ended."""
        statement = (
            select(WebSession.proof, WebSession.key_number, ApiKey, db_now())
            .outerjoin(ApiKey, ApiKey.number == WebSession.key_number)
            .where(WebSession.digest == digest, WebSession.expires_at > db_now())
        )
        async with self._db.read() as session:
            found = (await session.execute(statement)).one_or_none()
        if found is None:
            return None
        proof, number, key, now = found
        return WebSessionRecord(key=None if number is None else key_record(key, now), proof=proof)

    async def end(self, digest: str) -> None:
        """Drop a session; nothing happens where it has ended already."""
        async with self._db.session() as session:
            await session.execute(delete(WebSession).where(WebSession.digest == digest))
