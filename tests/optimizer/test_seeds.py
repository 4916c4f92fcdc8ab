from hypothesis import given
from hypothesis import strategies as st

from optimizer.seeds import content_seed, derive_seed

seeds = st.integers(0, 2**63 - 1)
places = st.lists(st.text("abc.0123456789", max_size=6) | st.integers(0, 99), max_size=4)


@given(seeds, places)
def test_a_seed_is_one_that_every_backend_takes_and_always_the_same(
    seed: int, place: list[str | int]
) -> None:
    derived = derive_seed(seed, *place)
    assert 0 <= derived < 2**31
    assert derive_seed(seed, *place) == derived


def test_seeds_are_the_same_on_every_machine_and_in_every_version() -> None:
    assert derive_seed(0, "judge", "c0", "q1") == 138910470
    assert derive_seed(0) == 1609362278


def test_seeds_of_different_places_differ() -> None:
    drawn = [derive_seed(seed, "target", place, 3) for seed in range(30) for place in range(30)]
    drawn += [derive_seed(0, "ab", "c"), derive_seed(0, "a", "bc"), derive_seed(0, "abc")]
    assert len(set(drawn)) == 903


@given(st.text(st.characters()), st.integers(0, 9))
def test_a_call_s_seed_depends_on_its_content_and_draw_alone(text: str, draw: int) -> None:
    drawn = content_seed(3, "target", text, "q1", draw=draw)
    assert drawn == content_seed(3, "target", text, "q1", draw=draw)
    assert drawn != content_seed(3, "target", text, "q1", draw=draw + 1)
    assert drawn != content_seed(3, "target", text + "x", "q1", draw=draw)


def test_content_of_any_unicode_has_a_seed() -> None:
    assert content_seed(0, "target", "\ud800") != content_seed(0, "target", "\ufffd")
