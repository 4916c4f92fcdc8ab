"""Whole jobs whose target is on vLLM; judge and proposer are simulated."""

import pytest

from app.jobs.records import StoredCapabilities
from store.repositories.capabilities import CapabilityRepository
from tests.vllm.server import ADAPTER, CONTEXT, MODEL, VllmServer
from tests.vllm.service import BASE, service_on

SHORT = {"target": {"max_tokens": 40}}


@pytest.mark.parametrize("target", [MODEL, ADAPTER, BASE])
async def test_a_job_ends_and_says_which_build_has_answered(
    vllm: VllmServer, sqlite_url: str, target: str
) -> None:
    async with service_on(vllm, sqlite_url) as service:
        found = await service.run(target=target, settings=SHORT)
        records = StoredCapabilities(CapabilityRepository(service.resources.database))
        probed = await records.get("vllm", ADAPTER if target == ADAPTER else MODEL)
        evaluations = await service.evaluations(found["id"])
    assert found["status"] == "succeeded", found["error"]
    assert not [item for item in evaluations if item["reward"] is None]
    assert probed is not None
    about = found["result"]["backends"]["target"]
    assert about["version"].startswith("0.32")
    assert about["root"].endswith("adapter" if target == ADAPTER else "model")
    assert about.get("parent") == (MODEL if target == ADAPTER else None)
    assert about.get("max_model_len") == (None if target == ADAPTER else CONTEXT)
    assert [fingerprint.startswith("vllm-0.32") for fingerprint in about["fingerprints"]] == [True]
    assert found["result"]["backends"]["judge"] == {"fingerprints": ["simulated"]}
    assert found["usage"]["calls"] == found["usage"]["ledger"]["calls"]  # none was made again
