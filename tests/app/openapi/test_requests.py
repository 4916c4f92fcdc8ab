"""Requests made up from our OpenAPI document, good and bad: no 5xx, and nothing that it does not say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from requests import Session
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.errors import InvalidSchema
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.app.openapi.served import ADMIN_KEY, Served, served

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES: Final = 12
TAGS: Final = (
    "chat",
    "responses",
    "routes",
    "completions",
    "embeddings",
    "health",
    "models",
    "optimizations",
    "keys",
    "usage",
    "ledger",
    "feedback",
    "prompts",
    "releases",
    "datasets",
    "example banks",
    "webhooks",
    "schedules",
    "evaluations",
    "overview",
    "audit log",
)


@pytest.fixture(scope="module")
def service(migrated_sqlite_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service for all requests: they find what earlier ones have left."""
    path = tmp_path_factory.mktemp("openapi") / "drpo.db"
    path.write_bytes(migrated_sqlite_file.read_bytes())
    with served(f"sqlite:///{path}") as opened:
        yield opened


def operations(service: Served, tag: str) -> list[APIOperation[Any, Any, Any, Any]]:
    """The operations under ``tag``, those that delete last."""
    schema = schemathesis.openapi.from_dict(service.document, config=SchemathesisConfig())
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    tagged = [operation for operation in found if tag in operation.definition.raw["tags"]]
    return sorted(tagged, key=lambda operation: operation.method.upper() == "DELETE")


def places_in(service: Served, operation: APIOperation[Any, Any, Any, Any]) -> dict[str, str]:
    """Path parameters of an operation under which there is something."""
    return {name: place for name, place in service.places.items() if f"{{{name}}}" in operation.path}


def try_out(
    service: Served,
    operation: APIOperation[Any, Any, Any, Any],
    *,
    mode: GenerationMode,
    key: str = ADMIN_KEY,
    examples: int = EXAMPLES,
    places: dict[str, Any] | None = None,
) -> set[int]:
    """Send made-up requests and check every answer; gives the statuses."""
    statuses: set[int] = set()
    session = Session()
    session.trust_env = False

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode, path_parameters=places))
    def run(case: schemathesis.Case[Any]) -> None:
        headers = {"authorization": f"Bearer {key}"}
        response = case.call(base_url=service.url, session=session, headers=headers, timeout=20)
        statuses.add(response.status_code)
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400:
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}
            assert response.json()["error"]["message"]

    try:
        run()
    except InvalidSchema:
        # some ways to spoil lists the library thinks of and then cannot carry out: what came before counts
        if mode is GenerationMode.POSITIVE:
            raise
    finally:
        session.close()
    return statuses


def test_every_operation_has_one_of_the_tags(service: Served) -> None:
    tagged = [
        tag for path in service.document["paths"].values() for told in path.values() for tag in told["tags"]
    ]
    assert set(tagged) == set(TAGS)


def test_every_error_is_documented_as_the_envelope(service: Served) -> None:
    assert not {"HTTPValidationError", "ValidationError"} & set(service.document["components"]["schemas"])
    for path, told in service.document["paths"].items():
        for operation in told.values() if path.startswith("/v1/") else ():
            errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
            assert {"401", "403", "500", "503"} <= set(errors), path
            schemas = [answer["content"]["application/json"]["schema"] for answer in errors.values()]
            assert schemas == [{"$ref": "#/components/schemas/Error"}] * len(errors), path


@pytest.mark.parametrize("tag", TAGS)
def test_answers_are_as_documented(service: Served, tag: str) -> None:
    met: set[int] = set()
    for operation in operations(service, tag):
        places = places_in(service, operation)
        met |= try_out(service, operation, mode=GenerationMode.POSITIVE, places=places)
        if places:
            met |= try_out(service, operation, mode=GenerationMode.POSITIVE, examples=3)
        if operation.body or list(operation.iter_parameters()):
            met |= try_out(service, operation, mode=GenerationMode.NEGATIVE, places=places)
    # what is made up gets past the reading of requests, or little would be shown; datasets are files, and an
    # answer's id cannot be made up
    wanted = {"datasets": {400}, "feedback": {404}}.get(tag, {200, 201, 202})
    if not met & wanted:  # ids in the document are others each time, and with them what is made up
        for operation in operations(service, tag):
            met |= try_out(
                service,
                operation,
                mode=GenerationMode.POSITIVE,
                examples=10 * EXAMPLES,
                places=places_in(service, operation),
            )
    assert met & wanted


@pytest.mark.parametrize("tag", TAGS)
def test_a_key_that_may_only_serve_gets_documented_refusals(service: Served, tag: str) -> None:
    for operation in operations(service, tag):
        places = places_in(service, operation)
        met = try_out(
            service, operation, key=service.serve_key, mode=GenerationMode.POSITIVE, examples=3, places=places
        )
        scopes = str(operation.definition.raw.get("security", "serve"))
        assert met == {403} or "serve" in scopes, operation.label
