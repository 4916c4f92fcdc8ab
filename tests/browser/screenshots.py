"""Pictures of every page, light and dark, wide and narrow: ``python -m tests.browser.screenshots FOLDER``."""

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.browser.browser import Watched, chromium, watched
from tests.browser.service import TARGET, Running, running_service

KEY = "sk-ours-0123456789abcdef"
LOOKS = (
    ("wide", 1200, "light"),
    ("wide-dark", 1200, "dark"),
    ("narrow", 390, "light"),
    ("narrow-dark", 390, "dark"),
)
SETTLED = {"job": '#job[data-stream="ended"] #tree-chart .main-svg'}
"""By page: what is there once its modules have done their work."""


async def picture_all(folder: Path) -> None:
    """Run a job, and take the pictures of all pages into ``folder``."""
    with tempfile.TemporaryDirectory() as place:
        url = f"sqlite+aiosqlite:///{place}/drpo.db"
        async with running_service(url, key=KEY) as service, chromium() as browser:
            pages = await fill(service)
            for look, width, scheme in LOOKS:
                async with watched(browser, service.url, width=width, scheme=scheme) as tab:
                    await tab.open("/dashboard/sign-in")
                    await tab.page.screenshot(path=folder / f"sign-in-{look}.png", full_page=True)
                    await tab.page.get_by_label("API key").fill(KEY)
                    await tab.page.get_by_role("button", name="Sign in").click()
                    for name, path in pages.items():
                        await tab.open(path)
                        if name == "playground":
                            await ask(tab)
                        if (settled := SETTLED.get(name)) is not None:
                            await tab.page.wait_for_selector(settled)
                        await tab.page.wait_for_timeout(1500)
                        await tab.page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)


async def ask(tab: Watched) -> None:
    """Have the playground answer and judge a question."""
    page = tab.page
    await page.get_by_label("Question").fill("What helps against stage fright?")
    await page.get_by_role("button", name="Ask", exact=True).click()
    await page.get_by_role("button", name="Have the judge score them").click()
    await page.locator(".verdict .score").nth(1).wait_for()


async def fill(service: Running) -> dict[str, str]:
    """Give every page something to show; gives their paths by name."""
    job = await service.queue(name="Kinder answers", budget={"calls": 400}, held_out=30)
    await service.client.get(f"/v1/optimizations/{job}/events", timeout=300)  # which end with the job
    prompts = f"/dashboard/prompts/{TARGET}"
    body = {"system_prompt": "Answer with one practical step.", "name": "by hand"}
    version = (await service.client.post(f"/v1/prompts/{TARGET}/versions", json=body)).json()
    examples = [{"query": "What helps against stage fright?", "answer": "Breathe out slowly."}]
    made = {"name": "Calm answers", "examples": examples, "refine": False}
    bank = (await service.client.post("/v1/example-banks", json=made)).json()
    await service.client.post("/v1/keys", json={"name": "CI", "limits": {"requests_per_minute": 60}})
    return {
        "models": "/dashboard/models",
        "jobs": "/dashboard/jobs",
        "new-job": "/dashboard/jobs/new",
        "job": f"/dashboard/jobs/{job}",
        "prompts": "/dashboard/prompts",
        "versions": f"{prompts}/versions",
        "version": f"{prompts}/versions/{version['id']}",
        "diff": f"{prompts}/diff?before=1&after={version['id']}",
        "new-version": f"{prompts}/new",
        "playground": f"/dashboard/playground?model={TARGET}",
        "data": "/dashboard/data",
        "new-bank": "/dashboard/data/banks/new",
        "bank": f"/dashboard/data/banks/{bank['id']}",
        "keys": "/dashboard/keys",
        "audit-log": "/dashboard/audit-log",
        "health": "/dashboard/health",
    }


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    FOLDER.mkdir(parents=True, exist_ok=True)
    asyncio.run(picture_all(FOLDER))
