"""What people say about answers: one word of each rater on each, counted for the arm that gave the answer."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from store.clock import db_now
from store.connections import Database
from store.errors import NotFoundError
from store.models.feedback import Feedback
from store.models.served_request import ServedRequest
from store.models.served_route import ServedRoute
from store.records.releases import ArmKey, ArmTally, FeedbackDraft, FeedbackRecord, LoggedAnswer
from store.repositories.release_counts import add_counts

_BATCH: Final = 500
_ANY_KEY: Final = -1
"""Stands for the key of an answer that is waited for, where its rater may rate answers to all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """What feedback has to know of an answer."""

    token: bytes
    key_number: int
    model: str
    version_id: str
    arm: str | None
    propensity: float | None
    stretch: int | None


class FeedbackRepository:
    """Feedback, and the answers that it is about."""

    def __init__(self, db: Database) -> None:
        """The feedback in ``db``."""
        self._db = db

    async def give(self, draft: FeedbackDraft) -> FeedbackRecord:
        """Note what a rater says, in place of what it has said before.

        An answer whose row is not there yet is waited for: ``settle`` adds it up later.

        Raises:
            NotFoundError: there is no such answer to this caller.
        """

        def work(connection: Connection) -> FeedbackRecord:
            own = _ANY_KEY if draft.any_key else draft.key_number
            known = self._locked(connection, draft, own)
            answer = _answer(connection, draft.token)
            if answer is None and not draft.may_wait:
                raise NotFoundError("there is no such answer")
            owner = known.key_number if answer is None else answer.key_number
            if own != _ANY_KEY and owner not in {own, _ANY_KEY}:
                raise NotFoundError("there is no such answer")
            said = {"key_number": own if answer is None else owner, "score": draft.score}
            of_rater = update(Feedback).where(_key(draft.token, draft.rater))
            connection.execute(of_rater.values(**said, comment=draft.comment))
            if answer is not None:
                was = known.score if known.settled else None
                counted = self._settle_one(connection, answer, draft.rater, draft.score, was)
                add_counts(connection, self._db.dialect, counted)
            return FeedbackRecord(
                model=None if answer is None else answer.model,
                version_id=None if answer is None else answer.version_id,
                arm=None if answer is None else answer.arm,
                rater=draft.rater,
                score=draft.score,
                comment=draft.comment,
            )

        return await self._db.write(work)

    def _locked(self, connection: Connection, draft: FeedbackDraft, key_number: int) -> Row[float, bool, int]:
        """What the rater has said before, or a first word; nobody else changes it until the transaction ends.

        Locked before the answer is looked for: settled in between, a word would be counted once too often.
        """
        new_row = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
        statement = new_row(Feedback).values(
            token=draft.token,
            rater=draft.rater,
            key_number=key_number,
            score=draft.score,
            settled=False,
            model="",
            version_id="",
        )
        upsert = statement.on_conflict_do_update(index_elements=["token", "rater"], set_={"at": db_now()})
        known = upsert.returning(Feedback.score, Feedback.settled, Feedback.key_number)
        return connection.execute(known).one()

    async def settle(self) -> int:
        """Add up feedback that came before the row of its answer.

        What is given by another key than the answer's is dropped.

        Returns:
            How many.
        """
        ready = _ready()

        def look(connection: Connection) -> bool:
            return connection.execute(ready.limit(1)).first() is not None

        def work(connection: Connection) -> int:
            batch = ready.order_by(Feedback.token, Feedback.rater).limit(_BATCH)
            words = connection.execute(batch.with_for_update(skip_locked=True)).all()
            counted: dict[ArmKey, ArmTally] = {}
            for token, rater, score, key_number in words:
                answer = _answer(connection, token)
                if answer is None or key_number not in {_ANY_KEY, answer.key_number}:
                    connection.execute(delete(Feedback).where(_key(token, rater)))
                    continue
                for key, tally in self._settle_one(connection, answer, rater, score, None).items():
                    counted[key] = counted.get(key, ArmTally()).plus(tally)
            add_counts(connection, self._db.dialect, counted)
            return len(words)

        # every process asks every few seconds, mostly for nothing
        return await self._db.write(work) if await self._db.fetch(look) else 0

    async def drop(self, *, older_than: float, waiting_longer_than: float) -> int:
        """Delete what is old, and what has waited too long for its answer; both in seconds."""
        old = Feedback.at < db_now() - older_than
        lost = Feedback.settled.is_(False) & (Feedback.at < db_now() - waiting_longer_than)

        def work(connection: Connection) -> int:
            return connection.execute(delete(Feedback).where(old | lost)).rowcount

        return await self._db.write(work)

    async def answers(self, model: str, *, after: int, limit: int) -> tuple[LoggedAnswer, ...]:
        """The answers of a model's release that are on record, oldest first, with what was said of them."""
        score = select(func.avg(Feedback.score)).where(Feedback.token == ServedRequest.token)
        statement = (
            select(ServedRequest, ServedRoute.version_id, score.scalar_subquery())
            .join(ServedRoute, ServedRoute.id == ServedRequest.route_id)
            .where(
                ServedRoute.model == model,
                ServedRoute.endpoint.startswith("/"),  # copies of requests have none
                ServedRequest.arm.is_not(None),
                ServedRequest.id > after,
            )
            .order_by(ServedRequest.id)
            .limit(limit)
        )
        async with self._db.read() as session:
            return tuple(
                LoggedAnswer(
                    id=row.id,
                    at=row.at,
                    token=row.token or b"",
                    version_id=version_id,
                    arm=row.arm or "",
                    propensity=row.propensity or 0.0,
                    stretch=row.stretch or 0,
                    ending=row.ending,
                    error_code=row.error_code,
                    total_ms=row.total_ms,
                    score=said,
                )
                for row, version_id, said in await session.execute(statement)
            )

    @staticmethod
    def _settle_one(
        connection: Connection, answer: _Answer, rater: str, score: float, was: float | None
    ) -> dict[ArmKey, ArmTally]:
        """Tie a word to its answer; what it adds to which arm, in place of ``was``."""
        of = {
            "model": answer.model,
            "version_id": answer.version_id,
            "arm": answer.arm,
            "propensity": answer.propensity,
            "stretch": answer.stretch,
        }
        connection.execute(update(Feedback).where(_key(answer.token, rater)).values(settled=True, **of))
        if answer.arm is None or answer.stretch is None:
            return {}
        tally = _tally(score, 1) if was is None else _tally(score, 1).plus(_tally(was, -1))
        key = ArmKey(model=answer.model, stretch=answer.stretch, arm=answer.arm, version_id=answer.version_id)
        return {key: tally}


def _answer(connection: Connection, token: bytes) -> _Answer | None:
    statement = (
        select(
            ServedRequest.key_number,
            ServedRequest.arm,
            ServedRequest.propensity,
            ServedRequest.stretch,
            ServedRoute.model,
            ServedRoute.version_id,
        )
        .join(ServedRoute, ServedRoute.id == ServedRequest.route_id)
        .where(ServedRequest.token == token)
        .limit(1)
    )
    row = connection.execute(statement).first()
    if row is None:
        return None
    key_number, arm, propensity, stretch, model, version_id = row
    return _Answer(
        token=token,
        key_number=key_number,
        model=model,
        version_id=version_id,
        arm=arm,
        propensity=propensity,
        stretch=stretch,
    )


def _ready() -> Select[bytes, str, float, int]:
    """Words that wait, and whose answers are on record: those are looked up one by one, in their index."""
    is_there = select(ServedRequest.id).where(ServedRequest.token == Feedback.token).exists()
    columns = (Feedback.token, Feedback.rater, Feedback.score, Feedback.key_number)
    return select(*columns).where(Feedback.settled.is_(False), is_there)


def _key(token: bytes, rater: str) -> ColumnElement[bool]:
    return (Feedback.token == token) & (Feedback.rater == rater)


def _tally(score: float, sign: int) -> ArmTally:
    return ArmTally(rated=sign, negative=sign * int(score < 0), reward=sign * (score + 1) / 2)
