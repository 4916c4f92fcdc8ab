import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.near_duplicates import SIMILARITY, group_near_duplicates

WORDS = [
    "".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz", k=3 + number % 7))
    for number in range(400)
]
LONG = " ".join(random.Random(1).sample(WORDS, 60))


def pieces(text: str) -> set[str]:
    padded = f" {text} ".ljust(4)
    return {padded[at : at + 4] for at in range(len(padded) - 3)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Why?", " why"),
        ("How do I boil an egg?", "how do I  boil an EGG"),
        ("Which river is the longest in Europe?", "Which river is the longest of Europe?"),
        ("Please explain how a bicycle stays upright", "explain how a bicycle stays upright, please"),
        (LONG, LONG.replace(LONG.split()[30], "zebra")),
        (LONG[:119], f"{LONG[:119]} more"),
        ("一二三四五六七八九十" * 20, "一二三四五六七八九十" * 20 + "百"),
        ("", "  "),
    ],
)
def test_texts_in_nearly_the_same_words_are_one(one: str, other: str) -> None:
    assert group_near_duplicates([one, "something else", other]) == [0, 1, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("question 12", "question 13"),
        ("What is 12 * 7?", "What is 12 * 8?"),
        ("What is C++?", "What is C#?"),
        ("Tell me about owls", "Tell me about cars"),
        (LONG, " ".join(random.Random(2).sample(WORDS, 60))),
        ("???", "!!"),
        ("\ud800", "a"),
    ],
)
def test_texts_about_other_things_are_not(one: str, other: str) -> None:
    assert group_near_duplicates([one, other]) == [0, 1]


def test_links_join_texts_that_are_no_near_duplicates_themselves() -> None:
    words = LONG.split()
    chain = [" ".join([*(f"new{place}" for place in range(at)), *words[at:]]) for at in (0, 8, 16)]
    assert group_near_duplicates([chain[0], chain[2]]) == [0, 1]
    assert group_near_duplicates(chain) == [0, 0, 0]


@given(st.lists(st.text(alphabet="abc ", max_size=40), max_size=30))
def test_every_pair_that_is_alike_is_found_and_no_group_is_without_one(texts: list[str]) -> None:
    groups = group_near_duplicates(texts)
    assert list(dict.fromkeys(groups)) == list(range(len(set(groups))))
    read = [pieces(" ".join(text.split())) for text in texts]
    alike = {
        (one, other)
        for one in range(len(texts))
        for other in range(len(texts))
        if one != other and len(read[one] & read[other]) >= SIMILARITY * len(read[one] | read[other])
    }
    assert all(groups[one] == groups[other] for one, other in alike)
    linked = {one for one, _ in alike}
    assert all(groups.count(groups[place]) == 1 for place in range(len(texts)) if place not in linked)


@given(st.lists(st.sampled_from(WORDS[:40]), min_size=20, max_size=30, unique=True), st.integers(0, 2**32))
def test_a_copy_with_one_word_changed_is_found_in_a_large_pool(words: list[str], seed: int) -> None:
    changed = list(words)
    changed[random.Random(seed).randrange(len(words))] = "zebra"
    others = [" ".join(random.Random(number).sample(WORDS, 25)) for number in range(150)]
    groups = group_near_duplicates([" ".join(words), *others, " ".join(changed)])
    assert groups[0] == groups[-1]
    assert len(set(groups)) == 151
