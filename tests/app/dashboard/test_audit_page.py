import re
from html import unescape

from tests.app.access.stored_keys import add_key
from tests.app.chat.serving import MODEL, add_version, open_service
from tests.app.dashboard.browsing import SETTINGS_KEY, sign_in
from tests.app.dashboard.test_pages import HOSTILE, check_page

AUDIT = "/dashboard/audit-log"


async def test_entries_are_shown_in_pages(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        for number in range(51):
            await service.client.post("/v1/keys", json={"name": f"key {number}."})
        first = (await service.client.get(AUDIT)).text
        assert "key 50." in first
        assert "key 0." not in first
        older = re.search(r'href="([^"]+)" rel="next"', first)
        assert older is not None
        second = (await service.client.get(unescape(older[1]))).text
        assert "key 0." in second
        assert "key 50." not in second
        assert ">Newest</a>" in second


async def test_only_administrators_see_it(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": SETTINGS_KEY}) as service:
        await sign_in(service.client, (await add_key(service.resources.access.keys, "optimize"))[0])
        refused = await service.client.get(AUDIT)
        assert refused.status_code == 403
        assert f'href="{AUDIT}"' not in refused.text
        await sign_in(service.client)
        assert f'href="{AUDIT}"' in (await service.client.get(AUDIT)).text


async def test_the_audit_log_shows_hostile_text_as_text_and_can_be_narrowed(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        assert "Nothing yet" in (await service.client.get(AUDIT)).text
        version = await add_version(service.resources.prompts, label=None)
        move = {"version": version.id, "reason": HOSTILE}
        assert (
            await service.client.put(f"/v1/prompts/{MODEL}/labels/production", json=move)
        ).status_code == 200
        await service.client.post("/v1/keys", json={"name": HOSTILE})
        everything = await service.client.get(AUDIT)
        check_page(everything)
        assert everything.text.count("&lt;script&gt;alert(1)") >= 2
        labels = (await service.client.get(f"{AUDIT}?kind=label&model={MODEL}")).text
        assert version.id in labels
        assert '<span class="badge">key</span>' not in labels
        for query in ("kind=lost", "after=x"):
            assert (await service.client.get(f"{AUDIT}?{query}")).status_code == 400
