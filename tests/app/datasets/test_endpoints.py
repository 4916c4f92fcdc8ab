"""Query sets over HTTP."""

import httpx

from tests.app.jobs.service import JobService, failure


async def upload(service: JobService, content: bytes, name: str = "mine.jsonl") -> httpx.Response:
    """POST a file."""
    return await service.client.post("/v1/datasets", files={"file": (name, content)})


async def test_an_uploaded_file_is_stored_and_listed(service: JobService) -> None:
    stored = await upload(service, b'"a"\n{"text": "b", "kind": "odd"}\n')

    assert stored.status_code == 201
    dataset = stored.json()
    assert dataset | {"id": "", "sha256": "", "created_at": 0} == {
        "id": "",
        "object": "dataset",
        "name": "mine.jsonl",
        "sha256": "",
        "queries": 2,
        "created_at": 0,
    }
    assert len(dataset["sha256"]) == 64
    ends = {"first_id": dataset["id"], "last_id": dataset["id"], "has_more": False}
    assert await service.get("/v1/datasets") == {"object": "list", "data": [dataset], **ends}
    assert await service.get(f"/v1/datasets/{dataset['id']}") == dataset


async def test_sets_come_in_pages_that_hold_each_once(service: JobService) -> None:
    stored = {(await upload(service, b'"a"', name=f"{number}.jsonl")).json()["id"] for number in range(3)}
    newest = await service.get("/v1/datasets", limit=2)
    rest = await service.get("/v1/datasets", limit=2, after=newest["last_id"])
    assert (newest["has_more"], rest["has_more"]) == (True, False)
    assert [len(newest["data"]), len(rest["data"])] == [2, 1]
    assert {item["id"] for item in (*newest["data"], *rest["data"])} == stored
    unknown = await service.client.get("/v1/datasets", params={"after": "ds_none"})
    assert "there is no dataset ds_none" in failure(unknown, 404)["message"]


async def test_the_same_file_under_the_same_name_is_stored_once(service: JobService) -> None:
    first = (await upload(service, b'"a"')).json()
    again = (await upload(service, b'"a"\n\n')).json()
    renamed = (await upload(service, b'"a"', name="other.jsonl")).json()
    assert again == first
    assert renamed["id"] != first["id"]
    assert renamed["sha256"] == first["sha256"]


async def test_a_bad_line_stores_nothing(service: JobService) -> None:
    refused = failure(await upload(service, b'"a"\n{"txt": "b"}'))
    assert refused["param"] == "file"
    assert refused["message"].startswith("line 2: text: Field required")
    assert (await service.get("/v1/datasets"))["data"] == []


async def test_a_file_that_is_not_utf_8_is_a_400(service: JobService) -> None:
    assert "not UTF-8" in failure(await upload(service, b'"\xe4"'))["message"]


async def test_a_file_with_one_id_for_two_texts_is_a_400(service: JobService) -> None:
    body = b'{"id": "q", "text": "a"}\n{"id": "q", "text": "b"}'
    assert "two queries have the id 'q'" in failure(await upload(service, body))["message"]


async def test_a_request_without_a_file_is_a_400(service: JobService) -> None:
    assert failure(await service.post("/v1/datasets"))["param"] == "file"
    told = failure(await service.client.post("/v1/datasets", data={"file": "a text"}))
    assert (told["param"], told["message"].partition(" as in ")[0]) == (
        "file",
        "file: a file is needed here,",
    )


async def test_an_unknown_dataset_is_a_404(service: JobService) -> None:
    response = await service.client.get("/v1/datasets/ds_none")
    assert failure(response, 404)["code"] == "not_found"
