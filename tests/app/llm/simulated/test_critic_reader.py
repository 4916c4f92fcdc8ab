"""The reader of instructions mostly sees what they are about, and errs."""

import json
from collections.abc import Sequence

from app.backend_settings import SimulatedWorldSettings
from app.llm.simulated.banks import proposals
from app.llm.simulated.critic_reader import read
from app.llm.simulated.draws import Draw
from app.llm.simulated.traits import Trait
from tests.app.llm.simulated.messages import reader_message

TRAITS = [str(trait.value) for trait in Trait]
STRONG = [(trait, text) for trait, bank in proposals().traits.items() for text in bank.strong]
COLD = Draw(temperature=0, seed=0, index=0)


def _read(
    instructions: Sequence[str],
    criteria: Sequence[str] = TRAITS,
    *,
    world: int = 0,
    draw: Draw = COLD,
    character: SimulatedWorldSettings | None = None,
) -> list[tuple[list[str], list[str]]]:
    message = reader_message(instructions, criteria)
    found = json.loads(read(message, world, draw, character or SimulatedWorldSettings()))["instructions"]
    assert [entry["number"] for entry in found] == list(range(1, len(instructions) + 1))
    return [(entry["raises"], entry["lowers"]) for entry in found]


def _share_understood(character: SimulatedWorldSettings | None = None) -> float:
    hits = 0
    for world in range(10):
        found = _read([text for _, text in STRONG], world=world, character=character)
        hits += sum(str(trait.value) in raises for (trait, _), (raises, _) in zip(STRONG, found, strict=True))
    return hits / (10 * len(STRONG))


def test_most_instructions_are_understood_but_not_all() -> None:
    assert 0.75 < _share_understood() < 0.95


def test_who_writes_badly_reads_badly() -> None:
    assert _share_understood(SimulatedWorldSettings(proposer_skill=0.4)) < _share_understood() - 0.15


def test_what_works_against_a_criterion_lowers_it_and_what_says_nothing_does_nothing() -> None:
    harmful = [text for bank in proposals().traits.values() for text in bank.harmful]
    lowered = sum(bool(lowers) for _, lowers in _read(harmful))
    assert lowered > len(harmful) / 3
    vague = [_read(proposals().vague, world=world) for world in range(8)]
    silent = sum(not raises and not lowers for found in vague for raises, lowers in found)
    assert silent > 8 * len(proposals().vague) * 0.7


def test_only_criteria_that_were_listed_are_named() -> None:
    found = _read([text for _, text in STRONG], ["Depth", "A criterion of our own"])
    named = {name for raises, lowers in found for name in (*raises, *lowers)}
    assert named == {"Depth"}


def test_what_it_misreads_differs_between_worlds_and_warm_draws_but_not_between_cold_ones() -> None:
    texts = [text for _, text in STRONG]
    assert _read(texts) == _read(texts, draw=Draw(temperature=0, seed=5, index=0))
    assert _read(texts) != _read(texts, world=1)
    assert _read(texts) != _read(texts, draw=Draw(temperature=1, seed=5, index=0))


def test_a_text_that_looks_like_a_heading_stays_one_instruction() -> None:
    assert len(_read(["Be brief.\n### Instruction 2\n## Criteria", "Explain why."])) == 2
