"""``/metrics``: who may look, and what is seen there."""

from pathlib import Path

import httpx
import pytest

from app.access.principal import Scope
from app.main import create_probe_app
from optimizer.types import JsonObject
from store.errors import StoreUnavailableError
from store.repositories.figures import FigureRepository
from tests.app.access.stored_keys import add_key, bearer
from tests.app.chat.routed import FIRST_MODEL, SECOND_MODEL, serve_routed
from tests.app.chat.serving import (
    MODEL,
    UPSTREAM_MODEL,
    Listening,
    Service,
    open_service,
    question,
    serve_service,
)
from tests.app.metrics.scraping import Scrape, scrape
from tests.fakes.openai_server import Drop, Stream, error, sse

ADMIN = "sk-admin-0123456789"
TOKEN = "scraper-0123456789"
SERVED = {"endpoint": "/v1/chat/completions", "model": MODEL, "backend": "upstream"}


async def test_without_any_key_whoever_is_on_this_machine_may_look(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        assert (await scrape(service.client)).value("drpo_store_up") == 1
        page = await service.client.get("/metrics", headers={"origin": "https://evil.example"})
        assert page.status_code == 403


async def test_else_only_administrators_and_the_scraper_may(sqlite_url: str) -> None:
    async with open_service(
        sqlite_url, server={"api_key": ADMIN}, observability={"metrics_token": TOKEN}
    ) as service:
        keys = {scope: (await add_key(service.resources.access.keys, scope))[0] for scope in Scope}
        for allowed in (ADMIN, TOKEN, keys[Scope.ADMIN]):
            await scrape(service.client, bearer(allowed))
        for refused, status in ((keys[Scope.SERVE], 403), (keys[Scope.OPTIMIZE], 403), (TOKEN[:-1], 401)):
            response = await service.client.get("/metrics", headers=bearer(refused))
            assert response.status_code == status
            assert response.json()["error"]["code"] in {"insufficient_scope", "invalid_api_key"}
        assert (await service.client.get("/metrics")).status_code == 401
        assert (await service.client.get("/v1/models", headers=bearer(TOKEN))).status_code == 401


async def test_the_token_may_stand_in_a_file(sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    async with open_service(
        sqlite_url, server={"api_key": ADMIN}, observability={"metrics_token_file": str(file)}
    ) as service:
        await scrape(service.client, bearer(TOKEN))


async def test_a_worker_shows_its_own_and_guards_them_as_well(sqlite_url: str) -> None:
    async with open_service(sqlite_url, server={"api_key": ADMIN}) as service:
        transport = httpx.ASGITransport(app=create_probe_app(service.resources))
        async with httpx.AsyncClient(transport=transport, base_url="http://drpo") as worker:
            assert (await worker.get("/metrics")).status_code == 401
            assert (await scrape(worker, bearer(ADMIN))).value("drpo_jobs_running_here") == 0


async def test_without_any_key_other_machines_may_not_look_at_a_worker(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        app = create_probe_app(service.resources)
        for address, status in (("127.0.0.1", 200), ("192.0.2.7", 403)):
            transport = httpx.ASGITransport(app=app, client=(address, 50_000))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as worker:
                assert (await worker.get("/metrics")).status_code == status


async def test_switched_off_nothing_is_there(sqlite_url: str) -> None:
    async with open_service(sqlite_url, observability={"metrics": False}) as service:
        await service.ask(question())
        response = await service.client.get("/metrics")
    assert response.status_code == 404
    assert "observability.metrics" in response.json()["error"]["message"]


async def test_open_metrics_for_who_asks_for_it(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        headers = {"accept": "application/openmetrics-text; version=1.0.0"}
        response = await service.client.get("/metrics", headers=headers)
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


async def test_an_answer_is_counted_with_its_tokens_cost_and_parts(sqlite_url: str) -> None:
    price: JsonObject = {"input_per_million": 1.0, "output_per_million": 2.0}
    async with open_service(sqlite_url, backend={"price": price}) as service:
        await service.ask(question())
        seen = await scrape(service.client)
    assert seen.value("drpo_requests_total", **SERVED, streamed="false", ending="answered") == 1
    assert seen.value("drpo_request_attempts_total", model=MODEL) == 1
    route = {"method": "POST", "route": "/v1/chat/completions", "status": "200"}
    assert seen.value("drpo_http_requests_total", **route) == 1
    assert seen.value("drpo_tokens_total", model=MODEL, backend="upstream", kind="input") == 7
    assert seen.value("drpo_tokens_total", model=MODEL, backend="upstream", kind="output") == 5
    assert seen.value("drpo_cost_total", model=MODEL, backend="upstream") == pytest.approx(17e-6)
    assert seen.value("drpo_overhead_seconds_count") == 1
    parts = {
        part: seen.value("drpo_request_part_seconds_sum", part=part)
        for part in ("resolve", "retrieve", "queue", "upstream", "store")
    }
    assert all(seen.value("drpo_request_part_seconds_count", part=part) == 1 for part in parts)
    assert min(parts["upstream"], parts["resolve"], parts["store"]) > 0
    own = sum(seconds for part, seconds in parts.items() if part != "upstream")
    assert own == pytest.approx(seen.value("drpo_overhead_seconds_sum"))


async def test_the_answer_itself_says_the_same(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        answer = await service.ask(question())
        other = await service.client.get("/v1/models")
        seen = await scrape(service.client)
    told = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    assert list(told) == ["resolve", "retrieve", "queue", "upstream", "store"]
    for part, milliseconds in told.items():
        seconds = seen.value("drpo_request_part_seconds_sum", part=part)
        assert float(milliseconds) == pytest.approx(seconds * 1000, abs=0.006)
    own = seen.value("drpo_overhead_seconds_sum") * 1000
    assert float(answer.headers["x-drpo-overhead-ms"]) == pytest.approx(own, abs=0.006)
    whole = sum(float(milliseconds) for milliseconds in told.values())
    assert int(answer.headers["openai-processing-ms"]) == pytest.approx(whole, abs=2)
    assert "x-drpo-overhead-ms" not in other.headers


def chunks(*texts: str) -> list[bytes]:
    about = {"id": "c", "model": UPSTREAM_MODEL}
    return [sse({**about, "choices": [{"index": 0, "delta": {"content": text}}]}) for text in texts]


async def test_streams_are_counted_with_their_first_frame_and_their_pace(sqlite_url: str) -> None:
    async with serve_service(sqlite_url) as listening, client_of(listening) as client:
        response = await client.post("/v1/chat/completions", json=question(stream=True))
        seen = await scrape(client)
    assert response.headers["server-timing"].startswith("resolve;dur=")
    assert seen.value("drpo_requests_total", **SERVED, streamed="true", ending="answered") == 1
    assert seen.value("drpo_time_to_first_frame_seconds_count", model=MODEL) == 1
    assert seen.value("drpo_time_per_output_token_seconds_count", model=MODEL) == 1
    assert seen.value("drpo_stream_aborts_total", model=MODEL, backend="upstream", ending="failed") == 0


async def test_a_stream_that_breaks_is_an_abort(sqlite_url: str) -> None:
    async with serve_service(sqlite_url) as listening, client_of(listening) as client:
        listening.fake.push(Stream(chunks=chunks("a", "b"), drop=True))
        await client.post("/v1/chat/completions", json=question(stream=True))
        seen = await scrape(client)
    of = {"model": MODEL, "backend": "upstream"}
    assert seen.value("drpo_stream_aborts_total", **of, ending="failed") == 1
    assert seen.value("drpo_request_failures_total", **of, code="backend_unavailable") == 1
    assert seen.value("drpo_time_to_first_frame_seconds_count", model=MODEL) == 1
    assert seen.value("drpo_time_per_output_token_seconds_count", model=MODEL) == 0


def client_of(listening: Listening) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=listening.url, trust_env=False, timeout=20)


async def test_failures_are_counted_by_what_the_client_was_told(sqlite_url: str) -> None:
    async with open_service(sqlite_url) as service:
        service.fake.push(error(429), Drop())
        assert (await service.ask(question())).status_code == 429
        failed = await service.ask(question())
        seen = await scrape(service.client)
    assert failed.status_code == 503
    assert "server-timing" in failed.headers
    of = {"model": MODEL, "backend": "upstream"}
    assert seen.value("drpo_request_failures_total", **of, code="rate_limit_exceeded") == 1
    assert seen.value("drpo_request_failures_total", **of, code="backend_unavailable") == 1
    assert seen.value("drpo_requests_total", **SERVED, streamed="false", ending="failed") == 2


HOSTILE = "e5f0-not-configured"


async def test_no_label_holds_what_a_caller_has_written(service: Service) -> None:
    await service.ask(question(HOSTILE, model=HOSTILE))
    await service.ask(question(HOSTILE), x_request_id=HOSTILE)
    await service.client.get(f"/v1/models/{HOSTILE}")
    await service.client.get(f"/{HOSTILE}")
    await service.client.request(HOSTILE.upper(), "/v1/models")
    seen = await scrape(service.client)
    assert HOSTILE not in seen.text.lower()
    assert ("route", "unmatched") in seen.labels()
    assert ("route", "/v1/models/{model:path}") in seen.labels()
    assert ("method", "other") in seen.labels()


async def test_two_services_in_one_process_count_for_themselves(
    sqlite_url: str, other_sqlite_url: str
) -> None:
    async with open_service(sqlite_url) as first, open_service(other_sqlite_url) as second:
        await first.ask(question())
        seen = [await scrape(first.client), await scrape(second.client)]
    name = "drpo_requests_total"
    assert [item.value(name, **SERVED, streamed="false", ending="answered") for item in seen] == [1, 0]


async def test_the_store_that_is_away_is_shown_as_away(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: FigureRepository) -> None:
        raise StoreUnavailableError("gone")

    async with open_service(sqlite_url) as service:
        monkeypatch.setattr(FigureRepository, "read", away)
        seen = await scrape(service.client)
    assert seen.value("drpo_store_up") == 0
    assert "drpo_jobs" not in seen.families
    assert "drpo_backend_places" in seen.families


async def test_limits_and_the_store_are_shown(service: Service) -> None:
    seen = await scrape(service.client)
    assert seen.value("drpo_backend_places", backend="upstream") > 0
    assert seen.value("drpo_backend_places_in_use", backend="upstream", by="users") == 0
    assert seen.value("drpo_store_bytes") > 4096
    assert {sample.labels["state"] for sample in seen.families["drpo_jobs"].samples} == {
        *("queued", "running", "paused", "succeeded", "failed", "cancelled")
    }
    assert seen.value("drpo_ledger_calls") == 0
    assert isinstance(seen, Scrape)


async def test_the_circuits_of_backends_are_shown(sqlite_url: str) -> None:
    async with serve_routed(sqlite_url) as routed:
        for _ in range(5):
            routed.first.push(Drop())
            await routed.ask()
        seen = await scrape(routed.client)
    for state in ("closed", "open", "half_open"):
        names = {"backend": "first", "model": FIRST_MODEL, "state": state}
        assert seen.value("drpo_circuit", **names) == (state == "open")
        names = {"backend": "second", "model": SECOND_MODEL, "state": state}
        assert seen.value("drpo_circuit", **names) == (state == "closed")
