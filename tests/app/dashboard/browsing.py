"""A browser without scripts: it signs in, keeps its cookie, and sends what browsers send along."""

import re
from html import unescape

import httpx

SETTINGS_KEY = "sk-admin-0123456789"
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}
JOBS = "/dashboard/jobs"
HOME = "/dashboard/"


async def sign_in(client: httpx.AsyncClient, key: str = SETTINGS_KEY, **fields: str) -> httpx.Response:
    """Send the form of the sign-in page; ``client`` keeps the cookie that it gets."""
    return await client.post("/dashboard/sign-in", data={"key": key, **fields}, headers=SAME_ORIGIN)


async def csrf_of(client: httpx.AsyncClient, path: str = JOBS) -> str:
    """The proof that pages hold for their modules."""
    found = re.search(r'<meta name="csrf-token" content="([^"]*)">', (await client.get(path)).text)
    assert found is not None
    return unescape(found[1])


async def proof_for(client: httpx.AsyncClient) -> dict[str, str]:
    """The headers with which a module of a page changes something."""
    return SAME_ORIGIN | {"x-csrf-token": await csrf_of(client)}
