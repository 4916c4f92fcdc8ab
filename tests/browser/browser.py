"""A Chromium that is watched: what a page complains about fails the test, and axe looks at every page."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SERIOUS = frozenset({"serious", "critical"})
PATIENCE_MS = 90_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A page, and what it has complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        """Go to a page of the service."""
        await self.page.goto(self.url + path)

    def expect_complaint(self, pattern: str) -> None:
        """Let pass what matches: Chromium reports every refused request."""
        self.expected.append(pattern)

    def check_calm(self) -> None:
        """Fail where the page has complained about something."""
        left = [
            text for text in self.complaints if not any(re.search(pattern, text) for pattern in self.expected)
        ]
        assert left == [], "\n".join(left)

    async def check_accessible(self) -> None:
        """Fail where axe finds a serious fault.

        axe is put in past the page's policy: it comes from the test, as an extension would.
        """
        results = await Axe().run(self.page, options={"resultTypes": ["violations"]})
        faults = [
            f"{fault['id']}: {node['target']} {node['failureSummary']}"
            for fault in results.response["violations"]
            if fault["impact"] in SERIOUS
            for node in fault["nodes"]
        ]
        assert faults == [], "\n".join(faults)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        await browser.close()


@asynccontextmanager
async def watched(
    browser: Browser, url: str, *, width: int = 1200, scheme: str = "light"
) -> AsyncIterator[Watched]:
    """A new page of its own session; at the end it must have complained about nothing."""
    context = await browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 900},
        bypass_csp=False,
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    seen = Watched(page=page, url=url)
    page.on(
        "console",
        lambda message: (
            seen.complaints.append(message.text) if message.type in {"error", "warning"} else None
        ),
    )
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    yield seen
    seen.check_calm()
    await context.close()
