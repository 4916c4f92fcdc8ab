"""Jobs in the dashboard: begun in a form, watched to their end, paused, looked at in every detail."""

import re

import pytest
from playwright.async_api import Browser, expect

from benchmarks.dashboard_fill import Extent, LargeJob, claim, end_job
from store.progress import ProgressLog
from tests.browser.browser import Watched, watched
from tests.browser.service import HOSTILE, CutStreams, Running, running_service

EXTENT = Extent(candidates=60, rounds=6, rollouts=3)
ENDED = '#job[data-stream="ended"][data-status="succeeded"]'


async def test_a_job_is_begun_with_its_estimate_in_view_and_watched_to_its_end(
    tab: Watched, service: Running
) -> None:
    page = tab.page
    await tab.open("/")
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Jobs").click()
    await page.get_by_role("link", name="New job").click()
    await expect(page.locator("#estimate")).to_contain_text("Calls")
    await page.get_by_label("Name").fill("from the form")
    await page.get_by_label("Calls").fill("-5")
    await expect(page.locator('[data-problem="budget.calls"]')).not_to_be_empty()
    await expect(page.get_by_label("Calls")).to_have_attribute("aria-invalid", "true")
    tab.expect_complaint("status of 400")
    await page.get_by_label("Calls").fill("150")
    await page.get_by_label("Kept for the gate").fill("10")
    await expect(page.locator("#estimate")).to_contain_text("limit of calls")
    await tab.check_accessible()
    await page.get_by_role("button", name="Begin").click()
    await page.wait_for_url(re.compile("/dashboard/jobs/opt_"))
    await page.wait_for_selector(ENDED)
    await expect(page.locator("#gate-text")).to_contain_text("held-out")
    await expect(page.locator("#best-chart .main-svg").first).to_be_attached()
    for over in ("tokens", "money"):
        await page.get_by_role("group", name="Draw the best reward over").get_by_label(over).check()
        await expect(page.locator("#best-chart .xtitle")).to_have_text(over)
    await expect(page.locator("#tree-chart .main-svg").first).to_be_attached()
    await expect(page.locator("#heat tbody tr").first).to_be_visible()
    await expect(page.locator("#spend-table")).to_contain_text("proposer")
    await tab.check_accessible()
    job = (await service.read("/v1/optimizations"))["data"][0]
    assert job["name"] == "from the form"
    await expect(page.locator("#calls")).to_have_text(str(job["usage"]["calls"]))


async def test_a_candidate_shows_what_changed_and_its_rollouts_the_judges_reasons(
    tab: Watched, service: Running
) -> None:
    job = await service.queue()
    page = tab.page
    await tab.open(f"/dashboard/jobs/{job}")
    await page.wait_for_selector(ENDED)
    best = (await service.read(f"/v1/optimizations/{job}"))["result"]["best_candidate_id"]
    await page.locator(f'#candidates button[data-candidate="{best}"]').click()
    await expect(page.locator("#chosen-title")).to_have_text(f"Candidate {best}")
    await expect(page.locator("#chosen")).to_be_focused()
    await expect(page.locator("#chosen-prompt ins").first).to_be_visible()
    await expect(page.locator("#chosen-lineage li").first).to_contain_text("c0")
    rollout = page.locator(".rollout").first
    await rollout.locator("summary").click()
    await expect(rollout).to_contain_text("Scores and reasons")
    await page.get_by_label("all without a score").check()
    await expect(page.locator("#rollouts")).to_contain_text("There are none.")


async def test_no_event_is_lost_or_doubled_however_often_the_connection_breaks(
    browser: Browser, sqlite_url: str
) -> None:
    cutting: list[CutStreams] = []

    def cut(app: object) -> CutStreams:
        cutting.append(CutStreams(app, pieces=20))  # type: ignore[arg-type]
        return cutting[-1]

    async with (
        running_service(sqlite_url, wrap=cut, jobs={"max_running": 0}) as service,
        watched(browser, service.url) as tab,
    ):
        tab.expect_complaint("ERR_|Failed to load")
        job = await service.queue()
        lease = await claim(service.resources)
        await tab.open(f"/dashboard/jobs/{job}")
        await tab.page.wait_for_selector('#job[data-stream="live"]')
        log, recorded = ProgressLog(service.resources.database), LargeJob(EXTENT)
        await log.record(lease, recorded.first())
        for number in range(1, EXTENT.rounds + 1):
            await log.record(lease, recorded.round(number))
        await end_job(service.resources, lease)
        await tab.page.wait_for_selector('#job[data-stream="ended"]')
        assert cutting[0].cut > 1
        tree = (await service.read(f"/v1/optimizations/{job}/candidates"))["data"]
        more = tab.page.locator("#more-candidates")
        while await more.is_visible():
            await more.click()
        rows = tab.page.locator("#candidates tbody tr")
        await expect(rows).to_have_count(len(tree))
        judged = {item["id"]: item["evaluations"] for item in tree}
        for number in range(len(tree)):
            cells = rows.nth(number).locator("td")
            name = await rows.nth(number).get_attribute("data-candidate")
            assert int(await cells.nth(4).inner_text()) == judged[str(name)], name


async def test_a_job_is_paused_resumed_and_ended_after_a_question(browser: Browser, sqlite_url: str) -> None:
    async with (
        running_service(sqlite_url, jobs={"max_running": 0}) as service,
        watched(browser, service.url) as tab,
    ):
        page = tab.page
        await tab.open(f"/dashboard/jobs/{await service.queue()}")
        for button, answer, state in (
            ("Pause", "Pause", "paused"),
            ("Resume", "Resume", "queued"),
            ("Cancel", "Go back", "queued"),
            ("Cancel", "End it", "cancelled"),
        ):
            await page.locator("#actions").get_by_role("button", name=button).click()
            await tab.check_accessible()
            await page.get_by_role("dialog").get_by_role("button", name=answer).click()
            await expect(page.locator("#state")).to_have_text(state)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1200, "dark")])
async def test_text_full_of_markup_shows_as_text_everywhere(
    browser: Browser, service: Running, width: int, scheme: str
) -> None:
    queries = [f"{HOSTILE} {number}" for number in range(8)]
    job = await service.queue(
        name=HOSTILE, seed_prompt=HOSTILE, queries=queries, held_out=2, budget={"calls": 80}
    )
    async with watched(browser, service.url, width=width, scheme=scheme) as tab:
        page = tab.page
        await tab.open(f"/dashboard/jobs/{job}")
        await page.wait_for_selector('#job[data-stream="ended"]')
        await page.get_by_label("as it is").check()
        await page.locator('#candidates button[data-candidate="c0"]').click()
        await expect(page.locator("#chosen-prompt")).to_have_text(HOSTILE)
        await page.locator(".rollout summary").first.click()
        await expect(page.locator(".rollout .text").first).to_contain_text("<script>")
        await tab.check_accessible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await tab.open("/dashboard/jobs")
        await expect(page.locator("#jobs tbody a").first).to_have_text(HOSTILE)
        await tab.check_accessible()
        assert "taken" not in await page.title()
        assert await page.locator("img[src='x']").count() == 0
