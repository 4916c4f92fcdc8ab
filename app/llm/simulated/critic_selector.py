"""The simulated selector: the criteria that a query calls for. It knows nothing but its messages."""

import json
import random
from collections.abc import Mapping, Sequence

from app.llm.simulated.banks import kinds, lexicon, proposals
from app.llm.simulated.draws import Draw, generator
from app.llm.simulated.plain import hits, plain
from app.llm.simulated.queries import QueryReading, kind_scores, read_query
from app.llm.simulated.sections import items, quoted, section
from app.llm.simulated.traits import Kind, Trait, match_trait

TASK = "# Task: select criteria"

_MOST = 5
_LEAST = 2
_INVENTS = 0.08
_MAY_INVENT = "of your own"
"""What the system message says where new criteria are welcome."""
_NOISE = 0.55
_TELLING = 4
"""Letters that a word of a description has more of to be looked for."""
_FAVOURITES = (Trait.CLARITY, Trait.HELPFULNESS, Trait.FACTUALITY)
"""Selectors choose these for nearly anything."""


def select(system: str, message: str, seed: int, draw: Draw) -> str:
    """The reply to a selector message: 2 to 5 criteria, and why.

    Args:
        system: the system message, which lists the criteria.
        message: the user message with the query.
        seed: the world's seed, for the noise.
        draw: which sample.
    """
    listed = items(section(system, "## Criteria")) or items(section(message, "## Criteria"))
    text = quoted(section(message, "## Query"))
    place = (seed, "selector", system, message)
    rng = generator(*place, draw.seed, draw.index) if draw.temperature > 0 else generator(*place)
    query = read_query(text)
    chosen = [_listed_entry(name, query) for name in _choose(listed, text, query, rng)]
    if _MAY_INVENT in system and rng.random() < _INVENTS:
        chosen = [*chosen[: _MOST - 1], _invent(query, rng)]
    names = ", ".join(entry["name"] for entry in chosen)
    reply = {
        "analysis": f"A {query.kind} request about {query.words[0]} and {query.words[1]}.",
        "criteria": chosen,
        "reasoning": f"For a {query.kind} request the answer stands or falls with {names}.",
    }
    return json.dumps(reply, ensure_ascii=False)


def _choose(
    listed: Sequence[tuple[str, str]], text: str, query: QueryReading, rng: random.Random
) -> list[str]:
    """Names of the listed criteria that seem to matter most, best first."""
    words = plain(text)
    leanings = _leanings(words, query)
    weights = {
        name: _weight(name, description, words, leanings) + rng.gauss(0, _NOISE)
        for name, description in listed
    }
    ranked = sorted(weights, key=lambda name: -weights[name])
    count = rng.choice((4, 4, 5, 5, 5, 3)) if query.kind is not Kind.HARMFUL else rng.choice((3, 3, 4))
    return ranked[: max(_LEAST, count)]


def _leanings(words: str, query: QueryReading) -> dict[Trait, float]:
    """How much each trait seems to matter for a query."""
    leanings = dict.fromkeys(Trait, 0.0)
    for kind, score in kind_scores(words, kinds()).items():
        for trait in kinds()[kind].traits:
            leanings[trait] += 0.2 * min(2.0, score)
    for place, trait in enumerate(query.traits):
        leanings[trait] += 2.6 - 0.3 * place
    for trait in _FAVOURITES:
        leanings[trait] += 0.5
    return leanings


def _weight(name: str, description: str, words: str, leanings: Mapping[Trait, float]) -> float:
    trait = match_trait(name)
    if trait is not None:
        return leanings[trait]
    described = plain(description)
    shared = sum(word in words for word in described.split() if len(word) > _TELLING)
    near = [leanings[known] for known, entry in lexicon().traits.items() if hits(described, entry.asks)]
    return 0.4 * shared + 0.5 * max(near, default=0.0)


def _listed_entry(name: str, query: QueryReading) -> dict[str, str]:
    return {"name": name, "description": "", "reason": f"{name} shows in how {query.words[0]} is handled."}


def _invent(query: QueryReading, rng: random.Random) -> dict[str, str]:
    name, description = rng.choice(sorted(proposals().new_criteria[query.kind].items()))
    return {
        "name": name,
        "description": description,
        "reason": "None of the listed criteria says quite this.",
    }
