"""The dashboard with much to show: what a page asks for and draws stays small, and all can be reached."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Request, expect

from benchmarks.dashboard_fill import Extent, begin_large_job, end_job, store_sets, store_versions
from store.json_values import JsonObject
from store.progress import ProgressLog
from store.records.optimizations import Lease
from store.records.progress import CandidateDraft, EventDraft, ProgressBatch, RoundDraft
from tests.browser.browser import Watched, watched
from tests.browser.service import TARGET, Running, running_service

EXTENT = Extent(candidates=2_000, rounds=100, rollouts=2, versions=150, moves=60, sets=30)
SETTLED = ":has(#candidates tbody tr):has(#tree-chart .main-svg):has(#heat td)"
MOST_ELEMENTS = 3_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Large:
    """A service with a large job, which still runs under its lease."""

    service: Running
    job: str
    lease: Lease


@pytest.fixture
async def large(sqlite_url: str) -> AsyncIterator[Large]:
    async with running_service(sqlite_url, jobs={"max_running": 0}) as service:
        job = await service.queue()
        lease = await begin_large_job(service.resources, EXTENT)
        yield Large(service=service, job=job, lease=lease)


async def elements_of(tab: Watched) -> int:
    return int(await tab.page.evaluate("document.querySelectorAll('*').length"))


async def test_the_page_of_a_large_job_reads_no_event_of_the_past_and_draws_a_part(
    browser: Browser, large: Large
) -> None:
    await end_job(large.service.resources, large.lease)
    async with watched(browser, large.service.url) as tab:
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        await tab.open(f"/dashboard/jobs/{large.job}")
        await tab.page.wait_for_selector(f'#job[data-stream="ended"]{SETTLED}')
        assert not [url for url in asked if url.endswith("/events")]
        assert not [url for url in asked if url.endswith("/candidates")]
        assert await elements_of(tab) < MOST_ELEMENTS
        assert await tab.page.locator("#heat thead th").count() <= 25
        await expect(tab.page.locator("#tree-hint")).to_contain_text("of 2,001 are drawn")
        await expect(tab.page.locator("#chosen-lineage li").nth(1)).to_contain_text("more between them")
        await tab.check_accessible()


async def test_every_candidate_of_a_large_job_can_be_reached(browser: Browser, large: Large) -> None:
    async with watched(browser, large.service.url) as tab:
        await tab.open(f"/dashboard/jobs/{large.job}")
        await tab.page.wait_for_selector(f'#job[data-stream="live"]{SETTLED}')
        more, rows = tab.page.locator("#more-candidates"), tab.page.locator("#candidates tbody tr")
        for shown in range(50, 476, 25):
            await more.click()
            await expect(rows).to_have_count(shown)
        tree = (await large.service.read(f"/v1/optimizations/{large.job}/tree?limit=475"))["data"]
        names = await rows.evaluate_all("rows => rows.map((row) => row.dataset.candidate)")
        assert names == [node["id"] for node in tree[:475]]


async def test_what_happens_to_a_candidate_that_was_not_shown_is_counted_from_what_it_was(
    browser: Browser, large: Large
) -> None:
    path = f"/v1/optimizations/{large.job}/tree"
    last = (await large.service.read(f"{path}?limit=1&skip=2000"))["data"][0]
    async with watched(browser, large.service.url) as tab:
        await tab.open(f"/dashboard/jobs/{large.job}")
        await tab.page.wait_for_selector(f'#job[data-stream="live"]{SETTLED}')
        new = CandidateDraft(id="c9999", system_prompt="new", parent_id=last["id"], round=101)
        body = {
            "candidate_id": "c9999",
            "parent_id": last["id"],
            "round": 101,
            "rationale": "",
            "system_prompt": "new",
        }
        ranking: list[JsonObject] = [
            {"candidate_id": name, "reward": reward, "round_reward": None, "kept": True}
            for name, reward in (("c9999", 9.0), (last["id"], 8.0))
        ]
        events = (
            EventDraft(key="candidate_proposed:c9999", type="candidate_proposed", body=body),
            EventDraft(
                key="round_finished:101",
                type="round_finished",
                body={"round": 101, "rounds_left": 0, "ranking": list(ranking)},
            ),
        )
        finished = RoundDraft(
            round=101, ranking=tuple(ranking), best_candidate_id="c9999", best_reward=9.0, spend={}
        )
        log = ProgressLog(large.service.resources.database)
        batch = ProgressBatch(candidates=(new,), rounds=(finished,), events=events)
        await log.record(large.lease, batch)
        rows = tab.page.locator("#candidates tbody tr")
        await expect(rows.nth(0)).to_have_attribute("data-candidate", "c9999")
        await expect(rows.nth(1)).to_have_attribute("data-candidate", last["id"])
        await expect(rows.nth(1).locator("td").nth(4)).to_have_text(str(last["evaluations"]))
        await rows.nth(0).get_by_role("button").click()
        await expect(tab.page.locator("#chosen-prompt")).to_contain_text("new")
        await expect(tab.page.locator("#chosen-lineage li").first).to_contain_text("c0")


async def test_many_versions_moves_and_sets_come_in_pages(browser: Browser, sqlite_url: str) -> None:
    async with (
        running_service(sqlite_url, jobs={"max_running": 0}) as service,
        watched(browser, service.url) as tab,
    ):
        page = tab.page
        ids = await store_versions(service.resources, TARGET, EXTENT)
        await store_sets(service.resources, EXTENT)
        await tab.open(f"/dashboard/prompts/{TARGET}/versions")
        await expect(page.locator("#versions-table tbody tr")).to_have_count(25)
        labels = page.get_by_role("region", name="Labels", exact=True).locator("tbody tr")
        await expect(labels).to_have_count(4)
        await expect(labels.nth(1)).to_contain_text("version 1")
        moves = page.get_by_role("region", name="Moves of labels").locator("tbody tr")
        await expect(moves).to_have_count(25)
        await page.get_by_role("link", name="Older moves").click()
        await page.get_by_role("link", name="Older moves").click()
        await expect(moves).to_have_count(11)
        await expect(moves.last).to_contain_text("first")
        for _ in range(5):
            await page.get_by_role("link", name="Older", exact=True).click()
        await expect(page.locator("#versions-table tbody tr")).to_have_count(25)
        await expect(page.locator(f"a[href$='{ids[0]}']").first).to_be_visible()
        await tab.open("/dashboard/data")
        await page.get_by_role("link", name="Older sets").click()
        await expect(page.get_by_role("region", name="Query sets").locator("tbody tr")).to_have_count(5)
        await tab.check_accessible()


async def test_an_old_version_is_asked_in_the_playground_by_its_number(
    browser: Browser, sqlite_url: str
) -> None:
    async with (
        running_service(sqlite_url, jobs={"max_running": 0}) as service,
        watched(browser, service.url) as tab,
    ):
        page = tab.page
        ids = await store_versions(service.resources, TARGET, EXTENT)
        await tab.open(f"/dashboard/playground?model={TARGET}")
        assert await elements_of(tab) < MOST_ELEMENTS
        await page.get_by_label("Second", exact=True).select_option("number")
        await page.get_by_label("Number of the second version").fill("2")
        await page.get_by_label("Question").fill("What helps against stage fright?")
        asked: list[Request] = []
        page.on("request", lambda request: asked.append(request) if request.method == "POST" else None)
        await page.get_by_role("button", name="Ask", exact=True).click()
        await expect(page.locator(".answer").nth(1)).to_contain_text("Version 2")
        await expect(page.locator(".answer .badge").nth(1)).to_have_text("answered")
        bodies = [request.post_data or "" for request in asked if request.url.endswith("/chat/completions")]
        assert any(re.search(rf'"prompt_version":\s*"{ids[1]}"', body) for body in bodies)
        await page.get_by_label("Number of the second version").fill("999")
        await page.get_by_role("button", name="Ask", exact=True).click()
        tab.expect_complaint("status of 404")
        await expect(page.locator("#ask [role=alert]")).to_contain_text("no prompt version 999")
