import re

from tests.app.access.stored_keys import add_key
from tests.app.chat.serving import BASE_MODEL, MODEL, add_version, open_service
from tests.app.dashboard.browsing import SETTINGS_KEY, sign_in
from tests.app.dashboard.test_pages import HOSTILE, check_page
from tests.app.jobs.service import SMALL
from tests.app.jobs.service import open_service as open_jobs

MODELS = "/dashboard/models"
KEYED = {"api_key": SETTINGS_KEY}


async def test_a_promoted_version_shows_what_it_has_gained_and_on_which_criteria(sqlite_url: str) -> None:
    async with open_jobs(sqlite_url) as service:
        job = await service.run_to_promotion(gate={})
        gate = job["result"]["gate"]
        answer = await service.client.get(MODELS)
        check_page(answer)
        shown = answer.text
        assert f"{gate['baseline_reward']:.2f} → {gate['candidate_reward']:.2f}" in shown
        assert f"{gate['difference']:+.2f} [{gate['low']:+.2f}, {gate['high']:+.2f}]" in shown
        assert f'href="/dashboard/jobs/{job["id"]}"' in shown
        version = job["result"]["prompt_version"]
        assert f'href="/dashboard/prompts/{SMALL}/versions/{version}"' in shown
        assert shown.count('<circle class="then"') >= 2
        made = (await service.client.get(f"/dashboard/prompts/{SMALL}/versions/{version}")).text
        assert "promoted" in made
        assert gate["reason"].split(":")[0] in made


async def test_models_without_anything_are_shown_with_what_they_lack(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        await add_version(service.resources.prompts, HOSTILE)
        answer = await service.client.get(f"{MODELS}?days=14")
        check_page(answer)
        assert re.search(r'<option value="14" selected>', answer.text)
        assert "as it is" in answer.text
        assert "not compared" in answer.text
        assert "none yet" in answer.text
        assert (await service.client.get(f"{MODELS}?days=0")).status_code == 400


async def test_keys_see_their_own_models_alone(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        key, record = await add_key(service.resources.access.keys, "optimize")
        await service.resources.access.keys.change(record.id, {"models": [BASE_MODEL]}, actor="test")
        await sign_in(service.client, key)
        shown = (await service.client.get(MODELS)).text
        assert BASE_MODEL in shown
        assert f">{MODEL}<" not in shown
        await service.resources.access.keys.change(record.id, {"models": []}, actor="test")
        assert "This key may ask none" in (await service.client.get(MODELS)).text
