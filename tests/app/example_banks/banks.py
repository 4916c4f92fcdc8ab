"""Small banks, and the steps that their tests share."""

from typing import Any

from tests.app.jobs.service import JobService

POOR = (
    ("I feel so alone since my divorce.", "Statistically, that is common. Many resources exist on it."),
    ("Which is better for a beginner, a road bike or a city bike?", "It really depends. Hard to say."),
    ("Did Einstein really fail maths at school?", "You are absolutely right, exactly as you say."),
    ("What will the weather be in Oslo tomorrow?", "I just checked: sunny, according to the live feed."),
)
PATH = "/v1/example-banks"


def examples(count: int = 4, *, answers: bool = True) -> list[dict[str, Any]]:
    """Examples with poor answers, or without."""
    pairs = POOR[:count]
    return [{"query": query, **({"answer": answer} if answers else {})} for query, answer in pairs]


async def start(service: JobService, **fields: Any) -> str:
    """Queue a small bank; its id."""
    response = await service.post(PATH, {"examples": examples(), "preset": "mini", **fields})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def finished(service: JobService, bank: str) -> dict[str, Any]:
    """The bank once its job has ended."""
    await service.wait_for(bank)
    return await service.get(f"{PATH}/{bank}")


async def refine(service: JobService, **fields: Any) -> dict[str, Any]:
    """Refine a small bank to the end."""
    return await finished(service, await start(service, **fields))


async def answers_of(service: JobService, bank: str, **params: Any) -> list[dict[str, Any]]:
    """The answers that were tried."""
    found: list[dict[str, Any]] = (await service.get(f"{PATH}/{bank}/answers", **params))["data"]
    return found
