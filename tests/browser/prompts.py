"""Prompt versions in the dashboard: promoted, compared in the playground, rolled back, exported, imported."""

import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.browser import Watched, watched
from tests.browser.service import HOSTILE, TARGET, Running, running_service

VERSIONS = f"/dashboard/prompts/{TARGET}/versions"


async def store(service: Running, *prompts: str) -> list[str]:
    """Store versions by hand, the first of them in production; gives their ids."""
    ids = []
    for number, prompt in enumerate(prompts):
        body = {"system_prompt": prompt, "sampling": {"temperature": number / 10}}
        made = await service.client.post(f"/v1/prompts/{TARGET}/versions", json=body)
        assert made.status_code == 201, made.text
        ids.append(str(made.json()["id"]))
    move = {"version": ids[0], "reason": "to begin with"}
    moved = await service.client.put(f"/v1/prompts/{TARGET}/labels/production", json=move)
    assert moved.status_code == 200, moved.text
    return ids


async def production(service: Running) -> str:
    """The id of the version in production."""
    served = (await service.read("/v1/prompts"))["data"]
    return str(next(item["version"]["id"] for item in served if item["model"] == TARGET))


async def test_a_version_is_promoted_compared_in_the_playground_and_rolled_back(
    tab: Watched, service: Running
) -> None:
    first, second = await store(service, "Answer at length.", "Answer with one practical step.")
    page = tab.page
    await tab.open(VERSIONS)
    await tab.check_accessible()
    await page.get_by_role("button", name="Compare the chosen two").click()
    await expect(page.locator("table.beside ins").first).to_be_visible()
    await expect(page.locator("table.beside del").first).to_be_visible()
    await tab.check_accessible()
    await page.get_by_role("link", name="Version 2").click()
    await page.get_by_label("Reason").fill("it reads better")
    await tab.check_accessible()
    await page.get_by_role("button", name="Move the label").click()
    await expect(page.locator("h1 .badge")).to_have_text("production")
    assert await production(service) == second

    await tab.open(f"/dashboard/playground?model={TARGET}")
    await page.get_by_label("Third", exact=True).select_option(label="Version 1")
    await page.get_by_label("Question").fill("How do I boil an egg?")
    await page.get_by_label("Question").press("Control+Enter")
    await expect(page.locator("#answers .badge.succeeded")).to_have_count(3)
    await expect(page.locator("#answers article").nth(0)).to_contain_text("unaligned")
    await expect(page.locator("#answers article").nth(1)).to_contain_text(second)
    await expect(page.locator("#answers article").nth(2)).to_contain_text(first)
    await page.get_by_role("button", name="Have the judge score them").click()
    await expect(page.locator("#answers .score strong")).to_have_count(3)
    await tab.check_accessible()
    await page.locator("#answers .text").first.focus()
    await page.keyboard.press("2")
    await expect(page.locator("#voted")).to_contain_text("Production was better")

    await tab.open(VERSIONS)
    await page.get_by_role("button", name="Undo the last move of production").click()
    await page.get_by_role("dialog").get_by_role("button", name="Undo").click()
    await expect(page.locator("#versions-table tbody tr").nth(1).locator(".badge")).to_have_text("production")
    assert await production(service) == first
    await expect(page.locator("section[aria-labelledby=moves]")).to_contain_text("it reads better")


async def test_what_hides_itself_is_named_after_the_vote(tab: Watched, service: Running) -> None:
    await store(service, "Answer with one practical step.")
    page = tab.page
    await tab.open(f"/dashboard/playground?model={TARGET}")
    await page.get_by_label("Question").fill("How do I boil an egg?")
    await page.get_by_label("Hide which is which").check()
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator("#vote")).to_be_visible()
    names = page.locator("#answers h2 span:first-child")
    assert await names.all_inner_texts() == ["Answer 1", "Answer 2"]
    await page.get_by_role("button", name="Neither").click()
    await expect(page.locator("#voted")).to_contain_text("neither was better")
    assert set(await names.all_inner_texts()) == {"The model as it is, unaligned", "Production"}


async def test_a_version_is_exported_and_imported_again(
    tab: Watched, service: Running, tmp_path: Path
) -> None:
    (first,) = await store(service, "Answer at length.")
    page = tab.page
    await tab.open(f"{VERSIONS}/{first}")
    async with page.expect_download() as download:
        await page.get_by_role("button", name="OpenAI messages").click()
    file = await download.value
    place = tmp_path / file.suggested_filename
    await file.save_as(place)
    assert json.loads(place.read_text())["messages"][0]["content"] == "Answer at length."
    place.write_text(place.read_text().replace("at length", "in short"))
    await tab.open(VERSIONS)
    await page.get_by_role("link", name="New or imported version").click()
    await tab.check_accessible()
    form = page.locator("#import-version")
    await form.get_by_label("Format").select_option("openai")
    await form.get_by_label("or its text").fill("{no")
    await form.get_by_role("button", name="Import").click()
    await expect(form.get_by_role("alert")).to_contain_text("This is no JSON")
    await form.get_by_label("File").set_input_files(place)
    await form.get_by_role("button", name="Import").click()
    await page.wait_for_url(re.compile(r"/versions/pv_"))
    await expect(page.locator(".text").first).to_have_text("Answer in short.")
    await expect(page.locator("main")).to_contain_text("imported (openai)")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1200, "light")])
async def test_prompts_full_of_markup_show_as_text_everywhere(
    browser: Browser, sqlite_url: str, width: int, scheme: str
) -> None:
    async with (
        running_service(sqlite_url, jobs={"max_running": 0}) as service,
        watched(browser, service.url, width=width, scheme=scheme) as tab,
    ):
        first, second = await store(service, HOSTILE, f"{HOSTILE} and more")
        paths = [
            "/dashboard/models",
            "/dashboard/prompts",
            VERSIONS,
            f"{VERSIONS}/{first}",
            f"/dashboard/prompts/{TARGET}/diff?before={first}&after={second}",
            "/dashboard/playground",
            "/dashboard/data",
            "/dashboard/keys",
            "/dashboard/audit-log",
            "/dashboard/health",
        ]
        for path in paths:
            await tab.open(path)
            await tab.check_accessible()
            assert await tab.page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert "taken" not in await tab.page.title()
            assert await tab.page.locator("img[src='x']").count() == 0


async def test_a_bank_of_pasted_examples_is_made_better_by_a_job(tab: Watched, service: Running) -> None:
    page = tab.page
    await tab.open("/dashboard/data")
    await page.get_by_role("link", name="New bank").click()
    await page.get_by_label("Examples", exact=True).select_option("lines")
    await page.get_by_label("Examples, one a line").fill("no json")
    await page.get_by_role("button", name="Make the bank").click()
    await expect(page.get_by_role("alert")).to_contain_text("Line 1 is no JSON")
    await tab.check_accessible()
    lines = [{"query": HOSTILE, "answer": HOSTILE}, {"query": "What helps against stage fright?"}]
    await page.get_by_label("Examples, one a line").fill("\n".join(map(json.dumps, lines)))
    await page.get_by_label("Name").fill("by hand")
    await page.get_by_label("Preset").select_option("mini")
    await page.get_by_role("button", name="Make the bank").click()
    await page.wait_for_url(re.compile(r"/data/banks/ebj_"))
    await expect(page.locator("#state")).to_have_text("succeeded", timeout=60_000)
    await expect(page.locator(".example")).to_have_count(2)
    await page.locator(".example summary").first.click()
    await expect(page.locator(".example .text").first).to_have_text(HOSTILE)
    await expect(page.locator("#actions button:visible")).to_have_count(0)
    await tab.check_accessible()
    bank = (await service.read("/v1/example-banks"))["data"][0]
    assert (bank["name"], bank["preset"], bank["budget"]["calls"]) == ("by hand", "mini", 500)


async def test_a_key_is_made_shown_once_and_revoked(browser: Browser, sqlite_url: str) -> None:
    async with (
        running_service(sqlite_url, jobs={"max_running": 0}) as service,
        watched(browser, service.url) as tab,
    ):
        page = tab.page
        await tab.open("/dashboard/keys")
        await page.get_by_label("Name").fill("CI")
        await page.get_by_label("Requests a minute").fill("60")
        await page.get_by_label("Cost a month").fill("12.5")
        await page.get_by_role("button", name="Make the key").click()
        await expect(page.locator("#secret")).to_contain_text("drpo_")
        await expect(page.locator("#new-secret")).to_be_focused()
        await tab.check_accessible()
        await page.get_by_role("link", name="I have it").click()
        await page.get_by_role("link", name="CI").click()
        await expect(page.get_by_label("Cost a month")).to_have_value("12.5")
        await page.get_by_label("Note").fill("for the pipeline")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("section[aria-labelledby=changes]")).to_contain_text("for the pipeline")
        await page.get_by_role("button", name="Revoke").click()
        await page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        await expect(page.locator("h1 .badge")).to_have_text("revoked")
        key = (await service.read("/v1/keys"))["data"][0]
        assert key["limits"]["quotas"] == [
            {"period": "month", "requests": None, "tokens": None, "cost": 12.5}
        ]
        assert (key["note"], key["limits"]["requests_per_minute"]) == ("for the pipeline", 60)
