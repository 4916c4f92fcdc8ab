import pytest

from app.access.sessions import SESSION_COOKIE, is_same_origin
from app.dashboard.sign_in_limits import SignInLimits
from store.errors import StoreUnavailableError
from store.repositories.web_sessions import WebSessionRepository
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import open_service
from tests.app.dashboard.browsing import HOME, JOBS, SAME_ORIGIN, SETTINGS_KEY, proof_for, sign_in

KEYED = {"api_key": SETTINGS_KEY}


async def test_with_the_key_of_the_settings_a_browser_signs_in_goes_on_and_signs_out(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        browser = service.client
        away = await browser.get("/dashboard/jobs?status=failed")
        assert (away.status_code, away.headers["location"]) == (
            303,
            "/dashboard/sign-in?next=/dashboard/jobs%3Fstatus%3Dfailed",
        )
        assert "API key" in (await browser.get(away.headers["location"])).text
        answer = await sign_in(browser, next="/dashboard/jobs?status=failed")
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/jobs?status=failed")
        cookie = answer.headers["set-cookie"].lower()
        assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/", "max-age=604800"))
        assert "secure" not in cookie
        assert (await browser.get(JOBS)).status_code == 200
        assert (await browser.get("/v1/keys")).status_code == 200
        token = browser.cookies[SESSION_COOKIE]
        left = await browser.post("/dashboard/sign-out", headers=await proof_for(browser))
        assert left.status_code == 303
        assert SESSION_COOKIE not in browser.cookies
        browser.cookies.set(SESSION_COOKIE, token)  # whoever has copied it
        assert (await browser.get("/v1/keys")).json()["error"]["code"] == "session_ended"


async def test_who_signs_in_again_ends_the_session_that_the_browser_had(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        browser = service.client
        await sign_in(browser)
        former = browser.cookies[SESSION_COOKIE]
        await sign_in(browser, "wrong")
        assert (await browser.get("/v1/keys")).status_code == 200
        await sign_in(browser)
        assert (await browser.get("/v1/keys")).status_code == 200
        browser.cookies.clear()
        browser.cookies.set(SESSION_COOKIE, former)
        assert (await browser.get("/v1/keys")).json()["error"]["code"] == "session_ended"


async def test_without_its_database_the_dashboard_says_so_on_a_page(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find(*_: object) -> None:
        raise StoreUnavailableError("the test took the database away")

    async with open_service(sqlite_url, server=KEYED) as service:
        await sign_in(service.client)
        monkeypatch.setattr(WebSessionRepository, "find", find)
        answer = await service.client.get(JOBS)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert "the database cannot be reached right now" in answer.text


async def test_the_cookie_is_for_encrypted_connections_alone_where_there_is_one(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        service.client.base_url = service.client.base_url.copy_with(scheme="https")
        assert "secure" in (await sign_in(service.client)).headers["set-cookie"].lower()


async def test_a_proxy_that_ends_tls_does_not_take_that_from_the_cookie(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        answer = await service.client.post(
            "/dashboard/sign-in",
            data={"key": SETTINGS_KEY},
            headers=SAME_ORIGIN | {"origin": "https://test"},
        )
        assert "secure" in answer.headers["set-cookie"].lower()


async def test_a_session_is_as_good_as_its_key_is_at_the_time_of_each_request(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        key, record = await add_key(service.resources.access.keys, "optimize")
        browser = service.client
        assert (await sign_in(browser, key)).status_code == 303
        assert (await browser.get(JOBS)).status_code == 200
        assert (await browser.get("/v1/keys")).status_code == 403
        await service.resources.access.keys.change(record.id, {"scopes": ["serve"]}, actor="test")
        refused = await browser.get(JOBS)
        assert refused.status_code == 403
        assert "needs the scope optimize" in refused.text
        assert f'href="{JOBS}"' not in refused.text
        await service.resources.access.keys.revoke(record.id, actor="test")
        assert (await browser.get(JOBS)).status_code == 303
        assert "revoked" in (await browser.get("/v1/models")).json()["error"]["message"]


async def test_a_key_that_expires_ends_its_sessions(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        key, record = await add_key(service.resources.access.keys, "optimize")
        await sign_in(service.client, key)
        await service.resources.access.keys.change(record.id, {"expires_at": 1.0}, actor="test")
        assert "expired" in (await service.client.get("/v1/models")).json()["error"]["message"]


async def test_sessions_outlive_the_process_and_end_with_the_key_of_the_settings(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        await sign_in(service.client)
        token = service.client.cookies[SESSION_COOKIE]
    for key, status in ((SETTINGS_KEY, 200), ("sk-another-0123456789", 401)):
        async with open_service(sqlite_url, server={"api_key": key}) as service:
            service.client.cookies.set(SESSION_COOKIE, token)
            assert (await service.client.get("/v1/keys")).status_code == status


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://test"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "http://test"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "http://elsewhere.example"}, False),
        ({"origin": "http://[bad"}, False),
        ({}, False),
    ],
)
async def test_a_session_changes_nothing_for_pages_from_elsewhere(
    sqlite_url: str, headers: dict[str, str], is_let_in: bool
) -> None:
    assert is_same_origin({"host": "test"} | headers) == is_let_in
    async with open_service(sqlite_url, server=KEYED) as service:
        await sign_in(service.client)
        token = (await proof_for(service.client))["x-csrf-token"]
        host = {"host": "test"}
        tried = await service.client.post(
            "/v1/keys", json={"name": "k"}, headers=host | headers | {"x-csrf-token": token}
        )
        assert tried.status_code == (201 if is_let_in else 403)


@pytest.mark.parametrize("token", ["", "0" * 64, "\u00fc"])
async def test_a_session_changes_nothing_without_the_token_of_its_pages(sqlite_url: str, token: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        await sign_in(service.client)
        given = [(b"sec-fetch-site", b"same-origin"), (b"x-csrf-token", token.encode())]
        for path in ("/v1/keys", "/dashboard/sign-out"):
            tried = await service.client.post(path, json={"name": "k"}, headers=given)
            assert tried.status_code == 403, path
        assert (await service.client.get("/v1/keys")).json()["data"] == []


async def test_a_key_in_a_header_counts_for_more_than_a_cookie_and_needs_no_token(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        key, _ = await add_key(service.resources.access.keys, "serve")
        await sign_in(service.client)
        assert (await service.client.get("/v1/keys", headers=bearer(key))).status_code == 403
        made = await service.client.post("/v1/keys", json={"name": "k"}, headers=bearer(SETTINGS_KEY))
        assert made.status_code == 201


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/v1/keys", "/dashboard/\\x"]
)
async def test_nobody_is_sent_elsewhere_after_signing_in(sqlite_url: str, elsewhere: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        assert (await sign_in(service.client, next=elsewhere)).headers["location"] == HOME


async def test_wrong_keys_are_counted_and_soon_refused_unread(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        tries = [await sign_in(service.client, "wrong") for _ in range(11)]
        assert [answer.status_code for answer in tries] == [401] * 10 + [429]
        assert 'role="alert"' in tries[0].text
        assert (await sign_in(service.client)).status_code == 429
        assert not service.client.cookies
        foreign = await service.client.post("/dashboard/sign-in", data={"key": SETTINGS_KEY})
        assert foreign.status_code == 403


def test_tries_come_back_one_by_one() -> None:
    now = 0.0
    limits = SignInLimits(burst=2, seconds_each=6, clock=lambda: now)
    limits.note_wrong_key("a")
    assert limits.seconds_to_wait("a") == 0
    limits.note_wrong_key("a")
    assert limits.seconds_to_wait("a") == 6
    assert limits.seconds_to_wait("b") == 0
    now = 6.0
    assert limits.seconds_to_wait("a") == 0
    limits.note_wrong_key("a")
    assert limits.seconds_to_wait("a") == 6


def test_all_addresses_of_one_network_are_counted_as_one() -> None:
    limits = SignInLimits(burst=1, seconds_each=6, clock=lambda: 0.0)
    for address in ("2001:db8:1:2::1", "::ffff:192.0.2.7", "unix"):
        limits.note_wrong_key(address)
    for address in ("2001:db8:1:2:ffff::9", "2001:db8:1:2::1%eth0", "192.0.2.7", "unix"):
        assert limits.seconds_to_wait(address) == 6, address
    for address in ("2001:db8:1:3::1", "192.0.2.8", ""):
        assert limits.seconds_to_wait(address) == 0, address


async def test_without_keys_there_is_nothing_to_sign_in_to(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        host = {"host": "127.0.0.1"}
        answer = await service.client.get("/dashboard/sign-in", headers=host)
        assert (answer.status_code, answer.headers["location"]) == (303, HOME)
        assert (await service.client.get(JOBS, headers=host)).status_code == 200
        outside = await service.client.get(JOBS, headers={"host": "drpo.example"})
        assert outside.status_code == 403
        assert "server.api_key" in outside.text
