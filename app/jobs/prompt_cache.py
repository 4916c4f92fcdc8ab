"""How much of a job's prompts its backends had in their caches, as they say it themselves."""

from collections.abc import Mapping

from app.llm.metering import RoleUse
from optimizer.types import JsonObject, ModelRole, Usage


def prompt_cache(uses: Mapping[ModelRole, RoleUse]) -> JsonObject | None:
    """Prompt tokens, those of them that were cached, and their share: of all roles, and ``by_role``.

    Every answer counts once, also those that an earlier attempt was given. Roles whose backends say nothing
    of a cache are left out, also of the sum; None where all are.
    """
    told = {role.value: use.told for role, use in uses.items() if use.told.cached_prompt_tokens is not None}
    if not told:
        return None
    by_role: JsonObject = {name: _shown(usage) for name, usage in sorted(told.items())}
    return {**_shown(sum(told.values(), Usage())), "by_role": by_role}


def _shown(usage: Usage) -> JsonObject:
    cached = usage.cached_prompt_tokens or 0
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_prompt_tokens": cached,
        "share": round(cached / usage.prompt_tokens, 4) if usage.prompt_tokens else 0.0,
    }
