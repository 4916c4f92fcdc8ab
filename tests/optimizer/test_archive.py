import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from optimizer.archive import pareto_front, pick_parent

MEANS = {
    "all-round": {"Clarity": 3.0, "Depth": 3.0, "Tone": 3.0},
    "clear": {"Clarity": 4.0, "Depth": 2.0, "Tone": 3.5},
    "deep": {"Clarity": 2.0, "Depth": 4.5, "Tone": 2.0},
    "worse than clear": {"Clarity": 3.9, "Depth": 2.0, "Tone": 3.5},
}

fields = st.dictionaries(
    st.sampled_from("abcdef"),
    st.fixed_dictionaries({"Clarity": st.integers(1, 5), "Depth": st.integers(1, 5)}),
    min_size=1,
)


def test_the_front_holds_whoever_nobody_beats_on_everything() -> None:
    assert pareto_front(MEANS) == ("all-round", "clear", "deep")


def test_equals_stay_on_the_front_together() -> None:
    assert pareto_front({"one": {"Clarity": 3.0}, "two": {"Clarity": 3.0}}) == ("one", "two")


@given(fields)
def test_everybody_off_the_front_has_somebody_on_it_who_is_as_good_everywhere(
    means: dict[str, dict[str, int]],
) -> None:
    front = pareto_front(means)
    assert front
    for name, own in means.items():
        better = [
            rival
            for rival in front
            if all(means[rival][criterion] >= score for criterion, score in own.items())
            and means[rival] != own
        ]
        assert bool(better) == (name not in front)


def test_parents_are_picked_as_often_as_there_are_criteria_on_which_they_lead() -> None:
    rng = random.Random(1)
    picked = Counter(pick_parent(MEANS, rng) for _ in range(3000))
    assert set(picked) == {"clear", "deep"}, "who leads nowhere is not rewritten"
    assert 1850 < picked["clear"] < 2150


def test_without_any_criterion_everybody_may_be_picked() -> None:
    rng = random.Random(1)
    assert {pick_parent({"one": {}, "two": {}}, rng) for _ in range(50)} == {"one", "two"}


def test_the_same_draw_picks_the_same_parent() -> None:
    first, second = (
        [pick_parent(MEANS, rng) for _ in range(20)] for rng in (random.Random(5), random.Random(5))
    )
    assert first == second
