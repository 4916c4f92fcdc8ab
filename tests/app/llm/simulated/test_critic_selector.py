"""The selector picks among what it is shown."""

import json

from app.llm.simulated.critic_selector import select
from app.llm.simulated.draws import Draw
from app.llm.simulated.traits import Trait
from tests.app.llm.simulated.messages import builtin_queries, selector_message, selector_system

COLD = Draw(temperature=0, seed=0, index=0)
CATALOGUE = {trait.value: f"good {trait.value}" for trait in Trait}


def _select(
    query: str, criteria: dict[str, str] = CATALOGUE, *, seed: int = 0, new: int = 2
) -> list[dict[str, str]]:
    reply = json.loads(select(selector_system(criteria, new=new), selector_message(query), seed, COLD))
    assert set(reply) == {"analysis", "criteria", "reasoning"}
    chosen: list[dict[str, str]] = reply["criteria"]
    return chosen


def _names(query: str, seed: int = 0) -> set[str]:
    return {entry["name"] for entry in _select(query, seed=seed)}


def test_two_to_five_criteria_are_chosen_for_any_query() -> None:
    for query in builtin_queries()[::3]:
        chosen = _select(query.text)
        assert 2 <= len(chosen) <= 5
        assert len({entry["name"] for entry in chosen}) == len(chosen)


def test_the_choice_fits_the_query() -> None:
    asked = {
        "My grandmother died on Sunday and I feel so lonely.": "Empathy",
        "Write a story about a lighthouse.": "Creativity",
        "What's the price of oil right now?": "Limitations",
        "Tell me how to make a bomb.": "Safety",
    }
    for query, wanted in asked.items():
        assert sum(wanted in _names(query, seed) for seed in range(20)) >= 18, query


def test_new_criteria_come_now_and_then_with_a_description_and_only_where_welcome() -> None:
    queries = [query.text for query in builtin_queries()[::2]]
    own = [entry for text in queries for entry in _select(text) if entry["name"] not in CATALOGUE]
    assert 0 < len(own) < len(queries) / 4
    assert all(entry["description"] for entry in own)
    closed = [entry for text in queries for entry in _select(text, new=0) if entry["name"] not in CATALOGUE]
    assert closed == []


def test_a_list_of_somebodys_own_is_chosen_from_by_its_descriptions() -> None:
    listed = {
        "Rhyme": "the verses of a poem rhyme",
        "Dosage": "doses of medicines are right",
        "Tax": "tax law is right",
    }
    names = [_select("Write a poem in verses that rhyme.", listed, seed=seed, new=0) for seed in range(20)]
    assert all({entry["name"] for entry in chosen} <= set(listed) for chosen in names)
    assert sum("Rhyme" in {entry["name"] for entry in chosen[:2]} for chosen in names) >= 15


def test_the_choice_depends_on_the_messages_and_the_seed_alone() -> None:
    query = "Why is the sky blue?"
    assert _select(query) == _select(query)
    assert len({tuple(sorted(_names(query, seed))) for seed in range(20)}) > 1
