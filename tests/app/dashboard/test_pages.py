import re
from html import unescape

import httpx
import pytest
from jinja2 import UndefinedError
from starlette.datastructures import Headers

from app.dashboard import formats
from app.dashboard.api_reader import ApiReader, ApiRefusedError
from app.dashboard.assets import asset_url, chart_script, chart_url, own_assets
from app.dashboard.pages import rendered
from app.main import create_app
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import MODEL, Service, open_service
from tests.app.dashboard.browsing import JOBS

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}"
PAGES = [
    "/dashboard/models",
    "/dashboard/audit-log",
    "/dashboard/health",
    "/dashboard/jobs",
    "/dashboard/jobs/new",
    "/dashboard/jobs/{job}",
    "/dashboard/data",
    "/dashboard/data/banks/new",
    "/dashboard/playground",
    f"/dashboard/prompts/{MODEL}/new",
    "/dashboard/nothing/here",
]


async def queue_job(service: Service, name: str) -> str:
    """Queue a job that no worker takes; gives its id."""
    body = {"target": MODEL, "name": name, "preset": "mini", "seed_prompt": HOSTILE}
    made = await service.client.post("/v1/optimizations", json=body)
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def check_page(answer: httpx.Response) -> None:
    """What is true of every page."""
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert HOSTILE not in answer.text
    assert not re.search(r"<(script|style)(?![^>]*\b(src|href)=)[^>]*>|\son\w+=[\"']|\sstyle=", answer.text)
    assert not re.search(r"(src|href|action)=[\"']?(https?:)?//", answer.text)
    assert lost_presses(answer.text) == []


def lost_presses(page: str) -> list[str]:
    """Buttons that could be pressed before the module is there that answers to them."""
    without_forms = re.sub(r"<form[^>]* (action|method)=.*?</form>", "", page, flags=re.DOTALL)
    return [
        button
        for button in re.findall(r"<button[^>]*>", without_forms)
        if "data-scripted disabled" not in button and " hidden" not in button
    ]


async def test_every_page_keeps_to_its_policy_and_shows_hostile_text_as_text(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        job = await queue_job(service, HOSTILE)
        for path in PAGES:
            answer = await service.client.get(path.format(job=job))
            check_page(answer)
            assert answer.status_code == (404 if "nothing" in path else 200)
        shown = (await service.client.get(JOBS)).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "{{ 7 * 7 }}" in shown


async def test_jobs_are_shown_in_pages_and_by_state(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        ids = [await queue_job(service, f"job {number}") for number in range(26)]
        first = (await service.client.get(JOBS)).text
        assert "job 25" in first
        assert ids[0] not in first
        older = re.search(r'href="([^"]+)" rel="next"', first)
        assert older is not None
        second = (await service.client.get(unescape(older[1]))).text
        assert ids[0] in second
        filtered = (await service.client.get(f"{JOBS}?status=queued")).text
        assert re.search(r'href="/dashboard/jobs\?status=queued&amp;after=opt_\w+" rel="next"', filtered)
        assert ids[25] not in second
        assert "No jobs that are failed yet" in (await service.client.get(f"{JOBS}?status=failed")).text
        wrong = await service.client.get(f"{JOBS}?status=lost")
        assert wrong.status_code == 400
        assert (await service.client.get(f"{JOBS}?after=opt_x")).status_code == 404


async def test_a_job_that_is_none_and_a_form_that_a_key_may_not_fill_are_pages_that_say_so(
    sqlite_url: str,
) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-admin-0123456789"}) as service:
        key, _ = await add_key(service.resources.access.keys, "serve")
        admin = bearer("sk-admin-0123456789")
        missing = await service.client.get("/dashboard/jobs/opt_x", headers=admin)
        assert missing.status_code == 404
        assert "opt_x" in missing.text
        refused = await service.client.get("/dashboard/jobs/new", headers=bearer(key))
        assert refused.status_code == 403
        assert "needs the scope optimize" in refused.text


async def test_the_root_leads_to_the_dashboard(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        for path in ("/", "/dashboard", "/dashboard/"):
            answer = await service.client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/models")
            assert "content-security-policy" in answer.headers
        assert "content-security-policy" not in (await service.client.get("/v1/models")).headers
        assert "/dashboard" not in (await service.client.get("/openapi.json")).text


async def test_the_first_page_is_one_that_the_key_may_see(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-admin-0123456789"}) as service:
        for scope, place in (("serve", "playground"), ("optimize", "models")):
            key, _ = await add_key(service.resources.access.keys, scope)
            answer = await service.client.get("/", headers=bearer(key))
            assert answer.headers["location"] == f"/dashboard/{place}"
            assert (await service.client.get(f"/dashboard/{place}", headers=bearer(key))).status_code == 200
        away = await service.client.get("/")
        assert (away.status_code, away.headers["location"]) == (303, "/dashboard/sign-in?next=/")


async def test_assets_are_kept_for_good_under_addresses_that_change_with_them(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        for name, content in own_assets().contents.items():
            answer = await service.client.get(asset_url(name))
            assert answer.content == content
            assert "immutable" in answer.headers["cache-control"]
        mark = await service.client.get(asset_url("mark.svg"))
        assert mark.headers["content-type"] == "image/svg+xml"
        script = await service.client.get(asset_url("base.js"))
        assert script.headers["content-type"].startswith("text/javascript")
        former = await service.client.get("/dashboard/assets/0123456789abcdef/base.js")
        assert (former.content, former.headers["cache-control"]) == (script.content, "no-store")
        for path in ("/dashboard/assets/x/no.js", "/dashboard/assets/x/..%2Fpages.py"):
            assert (await service.client.get(path)).status_code == 404
        charts = await service.client.get(chart_url())
        assert charts.content == chart_script().place.read_bytes()
        assert (await service.client.get("/dashboard/assets/plotly/0.0.1.js")).status_code == 404


def test_our_scripts_and_styles_ask_for_nothing_from_elsewhere_and_never_write_markup() -> None:
    for name, content in own_assets().contents.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text
        ), name


async def test_the_api_is_read_with_the_credentials_of_the_page(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-admin-0123456789"}) as service:
        app = create_app(service.resources)
        request = httpx.Request("GET", "http://test", headers={"authorization": "Bearer sk-admin-0123456789"})
        headers = Headers(dict(request.headers))
        assert (await ApiReader(app, headers).get("/v1/models", {"unused": None}))["object"] == "list"
        with pytest.raises(ApiRefusedError, match="missing or wrong") as caught:
            await ApiReader(app, Headers({})).get("/v1/models")
        assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")


def test_a_template_that_asks_for_what_it_was_not_given_fails() -> None:
    with pytest.raises(UndefinedError):
        rendered("refused_outside.html")


def test_numbers_and_times_read_well() -> None:
    assert [formats.duration(value) for value in (None, 3.2, 75, 3700, 90_000)] == [
        "\u2013",
        "3 s",
        "1 min 15 s",
        "1 h 1 min",
        "1 d 1 h",
    ]
    assert [formats.amount(value) for value in (None, 950, 12_300, 4.2e6, 3e9)] == [
        "\u2013",
        "950",
        "12.3k",
        "4.2M",
        "3.0G",
    ]
    assert [formats.money(value) for value in (None, 0, 0.0123, 12)] == ["\u2013", "0.00", "0.0123", "12.00"]
    assert [formats.reward(4.126), formats.signed(0.5), formats.signed(-0.25), formats.count(12345)] == [
        "4.13",
        "+0.50",
        "-0.25",
        "12,345",
    ]
    assert formats.as_json({"a": "<\u00fc>"}) == '{\n "a": "<\u00fc>"\n}'
    assert str(formats.moment(0)) == '<time datetime="1970-01-01T00:00:00Z">1970-01-01 00:00 UTC</time>'
    assert [formats.reward(None), formats.signed(None), formats.count(None), formats.moment(None)] == [
        "\u2013"
    ] * 4
