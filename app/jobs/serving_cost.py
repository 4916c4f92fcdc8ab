"""What a prompt costs to serve: tokens and money for 1,000 requests, by what its answers took in a search."""

from statistics import fmean

from app.llm.prices import Price
from optimizer.types import JsonObject, SearchResult, Usage

_REQUESTS = 1000


def serving_cost(found: SearchResult, price: Price) -> JsonObject:
    """The seed prompt and the winner side by side.

    Args:
        found: the search; both prompts' answers are in its beam where they have any.
        price: what the target's tokens cost.

    Returns:
        Under ``seed_prompt`` and ``best``: ``characters`` of the prompt, and for 1,000 requests like those of
        the search ``prompt_tokens``, ``completion_tokens`` and ``cost``; null where no answer said its usage.
    """
    return {
        "seed_prompt": _of(found, found.seed_prompt.id, found.seed_prompt.system_prompt, price),
        "best": _of(found, found.best.id, found.best.system_prompt, price),
    }


def _of(found: SearchResult, candidate_id: str, system_prompt: str, price: Price) -> JsonObject:
    usages: dict[tuple[int, str], Usage | None] = {
        (item.round, item.rollout.query.id): item.rollout.usage
        for path in found.beam
        for step in path.steps
        if step.candidate.id == candidate_id
        for item in step.evaluations
    }
    known = [usage for usage in usages.values() if usage is not None]
    shown: JsonObject = {
        "characters": len(system_prompt),
        "prompt_tokens": None,
        "completion_tokens": None,
        "cost": None,
    }
    if known:
        usage = Usage(
            prompt_tokens=round(_REQUESTS * fmean(item.prompt_tokens for item in known)),
            completion_tokens=round(_REQUESTS * fmean(item.completion_tokens for item in known)),
        )
        shown |= {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cost": price.spend(usage).cost,
        }
    return shown
