"""Bodies of any size and form, at every endpoint that takes one: a short 4xx in the envelope."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.app.openapi.served import ADMIN_KEY, Served, served

LIMIT: Final = 100_000
JSON: Final = {"content-type": "application/json"}


def padded(size: int) -> bytes:
    """A JSON object of ``size`` bytes."""
    return b'{"odd": "' + b"x" * (size - 11) + b'"}'


WITHIN: Final = {
    "up to the limit": padded(LIMIT),
    "a long number": b'{"odd": ' + b"9" * (LIMIT - 100) + b"}",
    "many fields": b"{" + b",".join(b'"%d":0' % place for place in range(9_000)) + b"}",
    "many items": b"[" + b"0," * 40_000 + b"0]",
    "deep": b"[" * 50_000 + b"]" * 50_000,
    "half of it": padded(LIMIT)[:-2],
    "no Unicode": b'{"odd": "\xff\xfe"}',
    "half a pair": b'{"odd": "\\ud800"}',
    "no JSON": b"{odd: 1, NaN}",
    "nothing": b"",
}


@pytest.fixture(scope="module")
def service(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("bodies") / "drpo.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with served(f"sqlite:///{path}", max_body_bytes=LIMIT) as opened:
        yield opened


@pytest.fixture
def client(service: Served) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=service.url, headers=headers, trust_env=False, timeout=20) as opened:
        yield opened


def needing_json(service: Served) -> list[tuple[str, str]]:
    """Method and path of every operation that needs a JSON body, on things that there are."""
    return [
        (method, path.format_map(service.places))
        for path, operations in service.document["paths"].items()
        for method, told in operations.items()
        if told.get("requestBody", {}).get("required")
        and "application/json" in told["requestBody"]["content"]
    ]


def is_a_refusal(response: httpx.Response, *statuses: int) -> bool:
    told: dict[str, Any] = response.json()
    return (
        response.status_code in statuses
        and set(told["error"]) == {"message", "type", "param", "code"}
        and len(response.content) < 1000
    )


def test_many_operations_need_a_body(service: Served) -> None:
    assert len(needing_json(service)) > 15


@pytest.mark.parametrize("name", list(WITHIN))
def test_what_is_no_request_is_refused_everywhere(service: Served, client: httpx.Client, name: str) -> None:
    for method, path in needing_json(service):
        response = client.request(method, path, content=WITHIN[name], headers=JSON)
        assert is_a_refusal(response, 400, 409), (method, path, response.text)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_past_the_limit_is_refused_everywhere(
    service: Served, client: httpx.Client, announced: bool
) -> None:
    body = padded(LIMIT + 1)
    for method, path in needing_json(service):
        content = body if announced else iter([body[:LIMIT], body[LIMIT:]])
        response = client.request(method, path, content=content, headers=JSON)
        assert is_a_refusal(response, 413), (method, path, response.text)
