"""Releases and feedback: policies on record, counts of arms, and label moves that happen once."""

import asyncio
import dataclasses

import pytest
from sqlalchemy import text

from store.connections import Database
from store.errors import NotFoundError
from store.json_values import JsonObject
from store.records.prompts import LabelMoveDraft, PromptVersionDraft
from store.records.releases import ArmKey, ArmTally, DrawnArm, FeedbackDraft
from store.records.usage import Ending, RequestRecord, RouteRecord
from store.records.webhooks import WebhookDraft
from store.repositories.feedback import FeedbackRepository
from store.repositories.prompts import PromptRepository
from store.repositories.release_counts import ReleaseCountRepository
from store.repositories.releases import ReleaseRepository
from store.repositories.usage import UsageRepository
from store.repositories.webhooks import WebhookRepository
from tests.fixtures.statements import noted, sqlite_plan

POLICY: JsonObject = {"canary": {"label": "candidate", "weight": 0.5}}
DRAWN = DrawnArm(arm="candidate", propensity=0.25, stretch=2**50)
KEY = ArmKey(model="small", stretch=DRAWN.stretch, arm="candidate", version_id="pv_1")
TOKEN = bytes(range(14))
REQUEST = RequestRecord(
    age_seconds=0.0,
    request_id="req",
    route=RouteRecord(
        endpoint="/v1/chat/completions", model="small", backend="b", upstream_model="u", version_id="pv_1"
    ),
    key_number=3,
    ending=Ending.ANSWERED,
    error_code=None,
    streamed=False,
    estimated=False,
    prompt_tokens=1,
    completion_tokens=1,
    micros=0,
    first_ms=None,
    total_ms=5,
    token=TOKEN,
    drawn=DRAWN,
)
WORD = FeedbackDraft(
    token=TOKEN, rater="", key_number=3, any_key=False, score=1.0, comment=None, may_wait=True
)


async def two_versions(database: Database) -> list[str]:
    """Two versions of ``small``; production points to the first, candidate to the second."""
    prompts, ids = PromptRepository(database), []
    for label in ("production", "candidate"):
        version = await prompts.add_version(
            PromptVersionDraft(model="small", system_prompt=label, sampling={})
        )
        await prompts.move_label(
            LabelMoveDraft(model="small", label=label, version_id=version.id, actor="ann", reason="x")
        )
        ids.append(version.id)
    return ids


def back(ids: list[str]) -> LabelMoveDraft:
    return LabelMoveDraft(
        model="small", label="candidate", version_id=ids[0], actor="release", reason="9 of 10 failed"
    )


async def test_a_policy_is_kept_with_its_salt_and_its_history(database: Database) -> None:
    releases = ReleaseRepository(database)
    assert await releases.views() == ()
    first = await releases.put("small", POLICY, actor="ann")
    second = await releases.put("small", {}, actor="bob")
    assert (second.release.salt, second.release.policy, second.release.changed_by) == (
        first.release.salt,
        {},
        "bob",
    )
    assert second.release.changed_at >= first.release.changed_at
    assert (await releases.put("other", POLICY, actor="ann")).release.salt != first.release.salt
    assert await releases.views("small") == (second,)
    await releases.end("small", actor="cat")
    with pytest.raises(NotFoundError, match="small has no release"):
        await releases.end("small", actor="cat")
    assert [view.release.model for view in await releases.views()] == ["other"]
    assert [(change.actor, change.policy) for change in await releases.changes("small")] == [
        ("cat", None),
        ("bob", {}),
        ("ann", POLICY),
    ]


async def test_a_view_has_the_labels_of_its_model_alone(database: Database) -> None:
    ids = await two_versions(database)
    releases = ReleaseRepository(database)
    await releases.put("small", POLICY, actor="ann")
    await releases.put("other", POLICY, actor="ann")
    views = {view.release.model: view for view in await releases.views()}
    assert {record.label: record.version_id for record in views["small"].labels} == {
        "production": ids[0],
        "candidate": ids[1],
    }
    assert views["other"].labels == ()


async def test_counts_are_added_up_whoever_adds_them(database: Database) -> None:
    await ReleaseRepository(database).put("small", POLICY, actor="ann")
    counts, tally = ReleaseCountRepository(database), ArmTally(requests=2, errors=1, reward=0.5)
    other = dataclasses.replace(KEY, stretch=7)
    await asyncio.gather(*(counts.add({KEY: tally, other: tally}) for _ in range(5)))
    assert await counts.of("small", KEY.stretch) == {KEY: ArmTally(requests=10, errors=5, reward=2.5)}
    assert set(await counts.of("small")) == {KEY, other}
    assert await counts.of("nobody") == {}


async def test_a_label_is_rolled_back_once_and_quiet_after_it(database: Database) -> None:
    ids = await two_versions(database)
    releases, prompts = ReleaseRepository(database), PromptRepository(database)
    await releases.put("small", POLICY, actor="ann")
    assert await releases.suspect("small", 5, "candidate") == 0
    assert (await releases.suspect("small", 5, "candidate") or 0) >= 0

    async def roll() -> bool:
        return await releases.roll_back(back(ids), expected=ids[1], stretch=5, quiet_seconds=60)

    assert sorted(await asyncio.gather(*(roll() for _ in range(5)))) == [False] * 4 + [True]
    assert {record.version_id for record in await prompts.labels("small")} == {ids[0]}
    move = (await prompts.label_history("small", "candidate"))[0]
    assert (move.actor, move.reason, move.from_version) == ("release", "9 of 10 failed", ids[1])
    (view,) = await releases.views("small")
    assert view.release.suspect_since is None
    assert view.release.quiet_until is not None
    assert await releases.suspect("small", 6, "candidate") is None  # it is noted, but nothing may move yet
    assert not await releases.roll_back(back(ids), expected=ids[0], stretch=6, quiet_seconds=60)


async def test_a_label_that_somebody_has_moved_meanwhile_stays(database: Database) -> None:
    ids = await two_versions(database)
    releases = ReleaseRepository(database)
    await releases.put("small", POLICY, actor="ann")
    await releases.suspect("small", 5, "candidate")
    assert not await releases.roll_back(back(ids), expected="pv_elsewhere", stretch=5, quiet_seconds=60)
    (view,) = await releases.views("small")
    assert view.release.quiet_until is None


async def test_suspicion_ends_with_the_stretch_and_when_it_is_lifted(database: Database) -> None:
    releases = ReleaseRepository(database)
    assert await releases.suspect("small", 5, "candidate") is None
    await releases.put("small", POLICY, actor="ann")
    await releases.suspect("small", 5, "candidate")
    async with database.session() as session:
        await session.execute(text("UPDATE releases SET suspect_since = suspect_since - 100"))
    held = await releases.suspect("small", 5, "candidate")
    assert held is not None
    assert held >= 100
    assert await releases.suspect("small", 6, "candidate") == 0
    assert await releases.suspect("small", None, None) is None
    (view,) = await releases.views("small")
    assert (view.release.suspect_stretch, view.release.suspect_since) == (None, None)


async def test_webhooks_are_told_of_a_rollback(database: Database) -> None:
    ids = await two_versions(database)
    webhooks, releases = WebhookRepository(database), ReleaseRepository(database)
    for target in ("small", "other"):
        await webhooks.add(
            WebhookDraft(
                id=f"wh_{target}",
                url="http://127.0.0.1/x",
                events=("release.rolled_back",),
                target=target,
                key_fingerprint="f",
            )
        )
    await releases.put("small", POLICY, actor="ann")
    await releases.suspect("small", 5, "candidate")
    assert await releases.roll_back(back(ids), expected=ids[1], stretch=5, quiet_seconds=0)
    async with database.read() as session:
        rows = (await session.execute(text("SELECT event, subject, body FROM webhook_deliveries"))).all()
    assert [(row.event, row.subject) for row in rows] == [("release.rolled_back", "small")]
    assert '"reason": "9 of 10 failed"' in rows[0].body or '"reason":"9 of 10 failed"' in rows[0].body


async def test_feedback_is_counted_for_the_arm_and_replaced_when_it_is_said_again(
    database: Database,
) -> None:
    await ReleaseRepository(database).put("small", POLICY, actor="ann")
    await UsageRepository(database).add([REQUEST], [])
    feedback, counts = FeedbackRepository(database), ReleaseCountRepository(database)
    said = await feedback.give(WORD)
    assert (said.model, said.version_id, said.arm) == ("small", "pv_1", "candidate")
    assert await counts.of("small") == {KEY: ArmTally(rated=1, reward=1.0)}
    for _ in range(2):  # asked twice it counts once
        await feedback.give(dataclasses.replace(WORD, score=-0.5))
        assert await counts.of("small") == {KEY: ArmTally(rated=1, negative=1, reward=0.25)}
    await feedback.give(dataclasses.replace(WORD, rater="bob", score=0))
    assert await counts.of("small") == {KEY: ArmTally(rated=2, negative=1, reward=0.75)}
    (answer,) = await feedback.answers("small", after=0, limit=9)
    assert (answer.token, answer.arm, answer.propensity, answer.score) == (TOKEN, "candidate", 0.25, -0.25)
    assert await feedback.answers("small", after=answer.id, limit=9) == ()


async def test_said_by_many_at_once_it_counts_once(database: Database) -> None:
    await ReleaseRepository(database).put("small", POLICY, actor="ann")
    await UsageRepository(database).add([REQUEST], [])
    feedback = FeedbackRepository(database)
    await feedback.give(WORD)
    await asyncio.gather(*(feedback.give(dataclasses.replace(WORD, score=-1)) for _ in range(5)))
    assert await ReleaseCountRepository(database).of("small") == {KEY: ArmTally(rated=1, negative=1)}


async def test_feedback_that_comes_before_its_answer_waits_for_it(database: Database) -> None:
    await ReleaseRepository(database).put("small", POLICY, actor="ann")
    feedback, counts = FeedbackRepository(database), ReleaseCountRepository(database)
    with pytest.raises(NotFoundError):
        await feedback.give(dataclasses.replace(WORD, may_wait=False))
    assert (await feedback.give(WORD)).model is None
    await feedback.give(dataclasses.replace(WORD, rater="bob"))
    assert await feedback.settle() == 0
    await UsageRepository(database).add([REQUEST], [])
    settled = await asyncio.gather(*(feedback.settle() for _ in range(3)))
    assert sum(settled) == 2
    assert await counts.of("small") == {KEY: ArmTally(rated=2, reward=2.0)}


async def test_an_answer_to_another_key_is_none(database: Database) -> None:
    await ReleaseRepository(database).put("small", POLICY, actor="ann")
    feedback = FeedbackRepository(database)
    stranger = dataclasses.replace(WORD, key_number=4, rater="x")
    await feedback.give(stranger)  # nobody knows yet whose answer it will be
    await UsageRepository(database).add([REQUEST], [])
    assert await feedback.settle() == 1
    assert await ReleaseCountRepository(database).of("small") == {}
    with pytest.raises(NotFoundError):
        await feedback.give(stranger)
    await feedback.give(dataclasses.replace(stranger, any_key=True))
    assert len(await ReleaseCountRepository(database).of("small")) == 1


async def test_whoever_may_rate_all_answers_may_do_so_early(database: Database) -> None:
    await ReleaseRepository(database).put("small", POLICY, actor="ann")
    feedback = FeedbackRepository(database)
    await feedback.give(dataclasses.replace(WORD, key_number=0, any_key=True))
    await UsageRepository(database).add([REQUEST], [])
    assert await feedback.settle() == 1
    assert await ReleaseCountRepository(database).of("small") == {KEY: ArmTally(rated=1, reward=1.0)}


async def test_feedback_on_an_answer_that_no_release_chose_is_kept_and_counted_nowhere(
    database: Database,
) -> None:
    await UsageRepository(database).add([dataclasses.replace(REQUEST, drawn=None)], [])
    feedback = FeedbackRepository(database)
    assert (await feedback.give(WORD)).version_id == "pv_1"
    assert await ReleaseCountRepository(database).of("small") == {}
    assert await feedback.answers("small", after=0, limit=9) == ()


async def test_old_and_orphaned_feedback_is_dropped(database: Database) -> None:
    feedback = FeedbackRepository(database)
    await UsageRepository(database).add([REQUEST], [])
    await feedback.give(WORD)
    await feedback.give(dataclasses.replace(WORD, token=TOKEN[::-1]))
    assert await feedback.drop(older_than=60, waiting_longer_than=60) == 0
    async with database.session() as session:
        await session.execute(text("UPDATE feedback SET at = at - 100"))
    assert await feedback.drop(older_than=1000, waiting_longer_than=60) == 1
    assert await feedback.drop(older_than=60, waiting_longer_than=60) == 1


async def test_what_is_no_longer_suspected_is_not_rolled_back(database: Database) -> None:
    ids = await two_versions(database)
    releases = ReleaseRepository(database)
    await releases.put("small", POLICY, actor="ann")
    await releases.suspect("small", 5, "candidate")
    await releases.suspect("small", None, None)
    assert not await releases.roll_back(back(ids), expected=ids[1], stretch=5, quiet_seconds=0)
    assert len(await PromptRepository(database).label_history("small", "candidate")) == 1


async def test_suspicion_begins_anew_with_another_label(database: Database) -> None:
    releases = ReleaseRepository(database)
    await releases.put("small", POLICY, actor="ann")
    await releases.suspect("small", 5, "candidate")
    async with database.session() as session:
        await session.execute(text("UPDATE releases SET suspect_since = suspect_since - 100"))
    assert await releases.suspect("small", 5, "production") == 0
    ids = await two_versions(database)
    assert not await releases.roll_back(back(ids), expected=ids[1], stretch=5, quiet_seconds=0)


async def test_counts_of_a_release_that_has_ended_do_not_come_back(database: Database) -> None:
    releases, counts = ReleaseRepository(database), ReleaseCountRepository(database)
    await releases.put("small", POLICY, actor="ann")
    await counts.add({KEY: ArmTally(requests=1)})
    await releases.end("small", actor="ann")
    await counts.add({KEY: ArmTally(requests=1), dataclasses.replace(KEY, model="a"): ArmTally(requests=1)})
    await UsageRepository(database).add([REQUEST], [])
    await FeedbackRepository(database).give(WORD)
    assert await counts.of("small") == {}
    assert await counts.of("a") == {}
    made = await releases.put("small", POLICY, actor="ann")
    new = dataclasses.replace(KEY, stretch=int(made.release.changed_at * 1_000_000))
    await counts.add({KEY: ArmTally(requests=1), new: ArmTally(requests=2)})
    assert await counts.of("small") == {new: ArmTally(requests=2)}


async def test_the_first_word_of_a_rater_said_twice_at_once_is_one(database: Database) -> None:
    await ReleaseRepository(database).put("small", POLICY, actor="ann")
    await UsageRepository(database).add([REQUEST], [])
    feedback = FeedbackRepository(database)
    await asyncio.gather(*(feedback.give(WORD) for _ in range(8)))
    assert await ReleaseCountRepository(database).of("small") == {KEY: ArmTally(rated=1, reward=1.0)}


async def test_a_word_is_locked_before_its_answer_is_looked_for(database: Database) -> None:
    feedback = FeedbackRepository(database)
    await feedback.give(WORD)
    with noted() as statements:
        await feedback.give(WORD)
    tables = [table for asked, _ in statements for table in ("feedback", "served_requests") if table in asked]
    assert tables[:2] == ["feedback", "served_requests"]


async def test_the_word_of_an_admin_does_not_lock_the_answers_key_out(database: Database) -> None:
    await ReleaseRepository(database).put("small", POLICY, actor="ann")
    feedback = FeedbackRepository(database)
    await feedback.give(dataclasses.replace(WORD, key_number=0, any_key=True, score=-1.0))
    assert (await feedback.give(WORD)).model is None
    with pytest.raises(NotFoundError):  # it is of key 3 now
        await feedback.give(dataclasses.replace(WORD, key_number=4))
    await UsageRepository(database).add([REQUEST], [])
    assert await feedback.settle() == 1
    assert await ReleaseCountRepository(database).of("small") == {KEY: ArmTally(rated=1, reward=1.0)}


async def test_the_answers_key_may_speak_after_somebody_who_may_not(database: Database) -> None:
    feedback = FeedbackRepository(database)
    await feedback.give(dataclasses.replace(WORD, key_number=4))
    await UsageRepository(database).add([REQUEST], [])
    with pytest.raises(NotFoundError):
        await feedback.give(dataclasses.replace(WORD, key_number=4))
    assert (await feedback.give(WORD)).model == "small"
    assert await feedback.settle() == 0


async def test_who_is_refused_leaves_no_word(database: Database) -> None:
    feedback = FeedbackRepository(database)
    with pytest.raises(NotFoundError):
        await feedback.give(dataclasses.replace(WORD, may_wait=False))
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM feedback")) == 0


async def test_waiting_words_cost_no_write_until_their_answers_are_there(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    try:
        feedback = FeedbackRepository(database)
        await feedback.give(WORD)
        with noted() as statements:
            assert await feedback.settle() == 0
        assert "BEGIN IMMEDIATE" not in [asked for asked, _ in statements]
        ((statement, values),) = [item for item in statements if item[0].startswith("SELECT")]
        plan = await sqlite_plan(database, statement, values)
        assert "ix_served_requests_token (token=?)" in plan
        assert "SCAN" not in plan
    finally:
        await database.close()


async def test_a_releases_answers_are_found_without_all_others(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    try:
        with noted() as statements:
            assert await FeedbackRepository(database).answers("small", after=0, limit=9) == ()
        ((statement, values),) = [item for item in statements if item[0].startswith("SELECT")]
        assert "ix_served_requests_released" in await sqlite_plan(database, statement, values)
    finally:
        await database.close()
