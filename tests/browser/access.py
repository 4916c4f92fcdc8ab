"""The way into the dashboard and out of it, in a browser."""

from playwright.async_api import Browser, expect

from tests.app.access.stored_keys import add_key
from tests.browser.browser import watched
from tests.browser.service import running_service

KEY = "sk-ours-0123456789abcdef"


async def test_somebody_signs_in_acts_and_signs_out(browser: Browser, sqlite_url: str) -> None:
    async with (
        running_service(sqlite_url, key=KEY, jobs={"max_running": 0}) as service,
        watched(browser, service.url) as tab,
    ):
        page = tab.page
        job = await service.queue()
        await tab.open(f"/dashboard/jobs/{job}")
        await tab.check_accessible()
        tab.expect_complaint("status of 401")
        await page.get_by_label("API key").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("wrong")
        await tab.check_accessible()
        await page.get_by_label("API key").fill(KEY)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page).to_have_url(f"{service.url}/dashboard/jobs/{job}")
        await page.get_by_role("button", name="Cancel").click()
        await page.get_by_role("button", name="End it").click()
        await expect(page.locator("#state")).to_have_text("cancelled")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("API key")).to_be_visible()
        await tab.open("/dashboard/jobs")
        await expect(page.get_by_label("API key")).to_be_visible()


async def test_a_page_of_a_session_that_has_ended_leads_to_the_way_in(
    browser: Browser, sqlite_url: str
) -> None:
    async with (
        running_service(sqlite_url, key=KEY, jobs={"max_running": 0}) as service,
        watched(browser, service.url) as tab,
    ):
        tab.expect_complaint("status of 401")
        key, record = await add_key(service.resources.access.keys, "optimize")
        job = await service.queue()
        await tab.open(f"/dashboard/jobs/{job}")
        await tab.page.get_by_label("API key").fill(key)
        await tab.page.get_by_role("button", name="Sign in").click()
        await expect(tab.page.locator("#state")).to_have_text("queued")
        await service.resources.access.keys.revoke(record.id, actor="test")
        await expect(tab.page.get_by_label("API key")).to_be_visible(timeout=30_000)


async def test_the_keyboard_reaches_the_content_and_every_place(browser: Browser, sqlite_url: str) -> None:
    async with running_service(sqlite_url) as service, watched(browser, service.url) as tab:
        await tab.open("/dashboard/jobs")
        await tab.page.keyboard.press("Tab")
        await expect(tab.page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await tab.page.keyboard.press("Enter")
        await expect(tab.page.locator("#content")).to_be_focused()
        reached = set()
        await tab.open("/dashboard/jobs")
        for _ in range(16):
            await tab.page.keyboard.press("Tab")
            reached.add(await tab.page.evaluate("document.activeElement.textContent.trim()"))
        assert {"drpo", "Models", "Jobs", "Prompts", "Health", "New job", "Show", "Begin one"} <= reached
