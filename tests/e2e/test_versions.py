"""Prompt versions on the command line, against a service that runs: where they come from, which answers."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.command import run
from tests.e2e.test_cli import MODEL, service

KIND = {"messages": [{"role": "system", "content": "Be kind."}], "temperature": 0.5}
BASE = f"/v1/prompts/{MODEL}"

# seven processes, which begin slowly where many do
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


async def told(folder: Path, client: httpx.AsyncClient, *arguments: str) -> Any:
    """What ``drpo`` prints as JSON about the service behind ``client``."""
    ended = await run(*arguments, "--json", "--url", str(client.base_url), folder=folder)
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
    return json.loads(ended.out)


async def answering(client: httpx.AsyncClient) -> str | None:
    """Which version answers a request that asks for none."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}]}
    answer = (await client.post("/v1/chat/completions", json=body)).raise_for_status()
    version: str | None = answer.headers.get("x-drpo-prompt-version")
    return version


async def test_versions_are_imported_judged_promoted_rolled_back_and_exported(tmp_path: Path) -> None:
    shell = tmp_path / "shell"
    shell.mkdir()
    kind, queries, bundle = (shell / name for name in ("kind.json", "queries.jsonl", "bundle.json"))
    kind.write_text(json.dumps(KIND))
    queries.write_text('"What is a prime?"\n"How do I boil an egg?"\n')
    async with service(tmp_path) as (_, client):
        first = (await told(shell, client, "import", MODEL, str(kind), "--format", "openai"))["id"]
        second = (await client.post(f"{BASE}/versions", json={"system_prompt": "Be brief."})).json()["id"]
        asked = ("--queries", str(queries), "--version", "1", "--version", "none")
        judged = await told(shell, client, "eval", MODEL, *asked)
        answers = [await answering(client)]
        await told(shell, client, "promote", MODEL, "1")
        answers.append(await answering(client))
        moved = await client.put(f"{BASE}/labels/production", json={"version": second, "reason": "shorter"})
        assert moved.status_code == 200, moved.text
        answers.append(await answering(client))
        await told(shell, client, "rollback", MODEL)
        answers.append(await answering(client))
        await told(shell, client, "export", MODEL, "--output", str(bundle))
        again = await told(shell, client, "import", MODEL, str(bundle))
    assert [(item["version"], item["scored"]) for item in judged["versions"]] == [(first, 2), (None, 2)]
    assert [item["queries"] for item in judged["differences"]] == [2]
    assert answers == ["none", first, second, first]
    assert (again["id"], again["sampling"]["temperature"]) == (first, 0.5)
