import re
from html import unescape

import pytest

from tests.app.access.stored_keys import add_key
from tests.app.chat.serving import BASE_MODEL, MODEL, Service, add_version, open_service, question
from tests.app.dashboard.browsing import SETTINGS_KEY, proof_for, sign_in
from tests.app.dashboard.test_pages import HOSTILE, check_page

PLAYGROUND = "/dashboard/playground"
KEYED = {"api_key": SETTINGS_KEY}


async def sides(service: Service, query: str = "") -> list[list[tuple[str, str]]]:
    """For each place: the values that may be chosen, with "selected" where one is."""
    answer = await service.client.get(PLAYGROUND + query)
    check_page(answer)
    found = re.findall(r'<select id="side-\d".*?</select>', answer.text, re.DOTALL)
    return [re.findall(r'<option value="([^"]*)"( selected|)', select) for select in found]


async def test_unaligned_production_and_any_version_can_be_compared(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        prompts = service.resources.prompts
        first = await add_version(prompts, HOSTILE)
        second = await add_version(prompts, "Be brief.", label="candidate")
        left, middle, right = await sides(service)
        assert [value for value, _ in left] == [
            "unaligned",
            "label:production",
            "label:candidate",
            f"version:{second.id}",
            f"version:{first.id}",
        ]
        assert ("unaligned", " selected") in left
        assert ("label:production", " selected") in middle
        assert right[0] == ("", "")
        version = (await service.client.get(f"/dashboard/prompts/{MODEL}/versions/{first.id}")).text
        tried = re.search(r'href="([^"]*playground[?][^"]*)"', version)
        assert tried is not None
        from_there = await sides(service, unescape(tried[1]).removeprefix(PLAYGROUND))
        assert (f"version:{first.id}", " selected") in from_there[2]
        other = await sides(service, f"?model={BASE_MODEL}&c=version:pv_old")
        assert other[2][-1] == ("version:pv_old", " selected")
        lost = await service.client.get(f"{PLAYGROUND}?model=lost")
        assert lost.status_code == 404


async def test_a_key_that_only_serves_compares_what_is_in_production(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        await add_version(service.resources.prompts)
        key, record = await add_key(service.resources.access.keys, "serve")
        await service.resources.access.keys.change(record.id, {"models": [MODEL]}, actor="test")
        await sign_in(service.client, key)
        assert [value for value, _ in (await sides(service))[0]] == ["unaligned", "label:production"]
        shown = (await service.client.get(PLAYGROUND)).text
        assert f"<option selected>{MODEL}</option>" in shown
        assert BASE_MODEL not in shown
        optimizing, _ = await add_key(service.resources.access.keys, "optimize")
        await sign_in(service.client, optimizing)
        for path in ("models", "prompts", f"prompts/{MODEL}/versions/production"):
            page = await service.client.get(f"/dashboard/{path}")
            assert page.status_code == 200
            assert PLAYGROUND not in page.text


async def test_a_key_without_models_is_told_so(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        key, record = await add_key(service.resources.access.keys, "serve")
        await service.resources.access.keys.change(record.id, {"models": []}, actor="test")
        await sign_in(service.client, key)
        assert "This key may ask none" in (await service.client.get(PLAYGROUND)).text


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/feedback"])
async def test_questions_and_votes_need_the_proof_of_the_page(sqlite_url: str, path: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        await sign_in(service.client)
        body = question() if "chat" in path else {"response_id": "chatcmpl-x", "score": 1}
        assert (await service.client.post(path, json=body)).status_code == 403
        assert service.fake.requests == []
        proof = await proof_for(service.client)
        assert (await service.client.post(path, json=body, headers=proof)).status_code in {200, 404}


async def test_a_vote_of_a_session_becomes_feedback(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server=KEYED) as service:
        await sign_in(service.client)
        proof = await proof_for(service.client)
        answer = await service.client.post(
            "/v1/chat/completions", json=question(drpo={"align": False}), headers=proof
        )
        vote = {"response_id": answer.json()["id"], "score": -1, "comment": "compared in the playground"}
        given = await service.client.post("/v1/feedback", json=vote, headers=proof)
        assert given.status_code == 200
        assert given.json()["score"] == -1
