"""The banks say what they are meant to say."""

import pytest

from app.llm.simulated.answers import read_signs
from app.llm.simulated.banks import bodies, kinds, lexicon, phrases, proposals, signs
from app.llm.simulated.plain import plain
from app.llm.simulated.reading import read_instructions
from app.llm.simulated.traits import Kind, Trait


def _bare(text: str) -> str:
    return plain(text.replace("{", "").replace("}", ""))


def _strength(text: str, trait: Trait) -> float:
    return sum(item.strength for item in read_instructions(text).instructions if item.trait is trait)


def test_every_bank_covers_every_trait_and_kind() -> None:
    assert set(lexicon().traits) == set(signs()) == set(phrases()) == set(proposals().traits) == set(Trait)
    assert set(kinds()) == set(Kind)
    assert {*bodies()} == {kind.value for kind in Kind if kind is not Kind.HARMFUL} | {
        "refusal",
        "comply",
        "over_refusal",
    }


@pytest.mark.parametrize("trait", list(Trait))
def test_each_phrase_gives_a_reader_exactly_one_sign_of_its_trait_and_none_against_it(trait: Trait) -> None:
    bank = phrases()[trait]
    for variant in (bank, *bank.variants.values()):
        for text in variant.shows:
            seen = read_signs(_bare(text), trait)
            assert (len(seen.shows), len(seen.lacks)) == (1, 0), text
        for text in variant.lacks:
            seen = read_signs(_bare(text), trait)
            assert (len(seen.shows), len(seen.lacks)) == (0, 1), text


@pytest.mark.parametrize("trait", list(Trait))
def test_phrases_of_other_traits_say_nothing_about_a_trait(trait: Trait) -> None:
    others = [bank for other, bank in phrases().items() if other is not trait]
    texts = [text for bank in others for text in (*bank.shows, *bank.lacks)]
    seen = [read_signs(_bare(text), trait) for text in texts]
    assert not [signs for signs in seen if signs.shows or signs.lacks]


def test_the_core_of_an_answer_is_neutral() -> None:
    for name, texts in bodies().items():
        for text in texts if name != "over_refusal" else ():
            for trait in Trait:
                seen = read_signs(_bare(text), trait)
                assert not seen.shows + seen.lacks, (text, trait)


@pytest.mark.parametrize("trait", list(Trait))
def test_strong_proposals_speak_for_their_trait_more_than_weak_ones(trait: Trait) -> None:
    bank = proposals().traits[trait]
    weakest = min(_strength(text, trait) for text in bank.strong)
    assert weakest >= 0.65
    assert all(0 < _strength(text, trait) <= 0.75 for text in bank.weak)


@pytest.mark.parametrize("trait", list(Trait))
def test_a_harmful_proposal_speaks_against_some_trait(trait: Trait) -> None:
    for text in proposals().traits[trait].harmful:
        assert any(item.strength < 0 for item in read_instructions(text).instructions), text


def test_vague_and_bloated_proposals_speak_of_nothing() -> None:
    for text in (*proposals().vague, *proposals().bloat, *proposals().intros):
        assert read_instructions(text).instructions == (), text
