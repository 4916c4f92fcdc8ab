"""Feedback: tied to an answer, counted once, never lost, and never on somebody else's."""

import pytest

from app.answer_ids import new_token
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.serving import Service, open_service, question
from tests.fakes.openai_server import Answer

GOOD = Answer(body={"choices": [{"message": {"content": "x"}, "text": "x"}]})
PATH = "/v1/feedback"


@pytest.mark.parametrize(
    ("path", "body", "prefix"),
    [
        ("/v1/chat/completions", question(), "chatcmpl-"),
        ("/v1/completions", {"model": "org/base", "prompt": "x"}, "cmpl-"),
        ("/v1/responses", {"model": "tuned", "input": "x"}, "resp_"),
    ],
)
async def test_every_api_gives_ids_that_feedback_finds(
    service: Service, path: str, body: dict[str, object], prefix: str
) -> None:
    service.fake.push(GOOD)
    answer = (await service.client.post(path, json=body)).json()
    assert answer["id"].startswith(prefix)
    said = {"response_id": answer["id"], "score": 0.5, "comment": "fine", "user": "ann"}
    early = (await service.client.post(PATH, json=said)).json()
    assert early["status"] in {"waiting", "counted"}
    await service.resources.access.recorder.flush()
    await service.resources.release_control.feedback.settle()
    counted = (await service.client.post(PATH, json=said)).json()
    assert (counted["status"], counted["model"], counted["comment"]) == ("counted", body["model"], "fine")


async def test_ids_that_we_never_gave_are_unknown(service: Service) -> None:
    old = (1).to_bytes(6) + new_token()[6:]
    for name in ("chatcmpl-1", "x", f"chatcmpl-{new_token().hex().upper()}", f"chatcmpl-{old.hex()}"):
        response = await service.client.post(PATH, json={"response_id": name, "score": 1})
        assert (response.status_code, response.json()["error"]["code"]) == (404, "response_not_found")


@pytest.mark.parametrize("wrong", [{"score": 1.5}, {"score": None}, {"user": ""}, {"stars": 5}])
async def test_what_is_no_feedback_is_refused(service: Service, wrong: dict[str, object]) -> None:
    body = {"response_id": f"chatcmpl-{new_token().hex()}", "score": 1, **wrong}
    assert (await service.client.post(PATH, json=body)).status_code == 400


async def test_a_key_rates_its_own_answers_alone(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": "sk-admin-0123456789"}) as service:
        keys = service.resources.access.keys
        mine, other = [bearer((await add_key(keys))[0]) for _ in range(2)]
        service.fake.push(GOOD)
        answer = await service.client.post("/v1/chat/completions", json=question(), headers=mine)
        await service.resources.access.recorder.flush()
        said = {"response_id": answer.json()["id"], "score": -1}
        refused = await service.client.post(PATH, json=said, headers=other)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "response_not_found")
        for headers in (mine, bearer("sk-admin-0123456789")):
            assert (await service.client.post(PATH, json=said, headers=headers)).status_code == 200


async def test_without_rows_of_requests_there_is_nothing_to_rate(sqlite_url: str) -> None:
    async with open_service(sqlite_url, usage={"keep_days": 0}) as service:
        body = {"response_id": f"chatcmpl-{new_token().hex()}", "score": 1}
        refused = await service.client.post(PATH, json=body)
        assert refused.status_code == 409
        assert "usage.keep_days" in refused.json()["error"]["message"]
