"""Who answers for each model, over real HTTP on both sides."""

from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.routed import FIRST_MODEL, SECOND_MODEL, serve_routed
from tests.app.chat.serving import MODEL
from tests.fakes.openai_server import error


async def test_an_operator_sees_who_is_left_alone(sqlite_url: str) -> None:
    async with serve_routed(sqlite_url) as routed:
        routed.first.push(*[error(500)] * 5)
        for _ in range(6):
            await routed.ask()
        routed.clock.tick(2)
        (model,) = (await routed.client.get("/v1/routes")).json()["data"]
        assert model == {
            "model": MODEL,
            "retry_budget": 100.0,
            "routes": [
                {
                    "backend": "first",
                    "model": FIRST_MODEL,
                    "api": "chat",
                    "weight": 1.0,
                    "fallback": False,
                    "circuit": "open",
                    "requests": 5,
                    "failures": 5,
                    "asked_again_in": 3.0,
                },
                {
                    "backend": "second",
                    "model": SECOND_MODEL,
                    "api": "chat",
                    "weight": None,
                    "fallback": True,
                    "circuit": "closed",
                    "requests": 6,
                    "failures": 0,
                    "asked_again_in": None,
                },
            ],
        }
        routed.clock.tick(3)
        (model,) = (await routed.client.get("/v1/routes")).json()["data"]
        assert model["routes"][0]["circuit"] == "half_open"
        assert model["routes"][0]["asked_again_in"] is None


async def test_a_single_route_has_no_circuit(sqlite_url: str) -> None:
    async with serve_routed(sqlite_url, target={"fallbacks": []}) as routed:
        (model,) = (await routed.client.get("/v1/routes")).json()["data"]
        (route,) = model["routes"]
        assert (route["circuit"], route["requests"], route["asked_again_in"]) == (None, None, None)


async def test_who_serves_does_not_see_it(sqlite_url: str) -> None:
    async with serve_routed(sqlite_url) as routed:
        key, _ = await add_key(routed.resources.access.keys)
        response = await routed.client.get("/v1/routes", headers=bearer(key))
        assert response.status_code == 403
