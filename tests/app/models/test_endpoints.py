import pytest

from app.access.principal import operator
from app.models.service import list_models
from app.settings import Settings
from tests.app.chat.serving import BASE_MODEL, MODEL, open_service


async def test_the_targets_are_listed_in_the_order_of_the_settings(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        response = await service.client.get("/v1/models")
    cards = [
        {"id": name, "object": "model", "created": 0, "owned_by": "upstream"} for name in (MODEL, BASE_MODEL)
    ]
    assert response.json() == {"object": "list", "data": cards}


async def test_a_model_is_found_by_a_name_with_slashes(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        for path in ("/v1/models/org/base", "/v1/models/org%2Fbase"):
            response = await service.client.get(path)
            assert (response.status_code, response.json()["id"]) == (200, BASE_MODEL)


async def test_an_unknown_model_is_not_found_with_a_list_of_those_there_are(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        response = await service.client.get("/v1/models/org/nothing")
    assert response.status_code == 404
    told = response.json()["error"]
    assert (told["code"], told["param"]) == ("model_not_found", "model")
    assert MODEL in told["message"]


async def test_a_key_is_wanted_where_one_is_configured(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-ours-0123456789abcdef"}) as service:
        for path in ("/v1/models", f"/v1/models/{MODEL}"):
            assert (await service.client.get(path)).status_code == 401


@pytest.mark.parametrize(("backend", "owner"), [("simulated", "simulated"), ("demo", "demo (simulated)")])
def test_simulated_models_are_called_simulated(backend: str, owner: str) -> None:
    role = {"backend": backend, "model": "simulated-critic"}
    settings = Settings.model_validate(
        {
            "backends": {backend: {"kind": "simulated"}},
            "targets": {"small": {"backend": backend, "model": "simulated-small"}},
            "roles": {"proposer": role, "selector": role, "judge": role},
        }
    )
    assert [card.owned_by for card in list_models(settings, operator("me")).data] == [owner]
