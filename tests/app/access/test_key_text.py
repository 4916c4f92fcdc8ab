import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access.key_text import digest_of, new_key, prefix_of


def test_keys_differ_and_their_beginning_names_them() -> None:
    keys = [new_key() for _ in range(200)]
    prefixes = [prefix_of(key) for key in keys]
    assert len(set(keys)) == len(set(prefixes)) == 200
    for key, prefix in zip(keys, prefixes, strict=True):
        assert prefix is not None
        assert key.startswith(f"{prefix}_")
        assert len(key) - len(prefix) - 1 == 43  # 256 bits in base 64


@pytest.mark.parametrize("change", [str.upper, str.title, lambda key: key[:-1], lambda key: f"{key}\n"])
def test_what_only_looks_like_a_key_is_none(change: object) -> None:
    assert callable(change)
    assert prefix_of(change(new_key())) is None


@given(st.text())
def test_no_text_breaks_the_reading(text: str) -> None:
    assert prefix_of(text) is None or text.startswith("drpo_")


def test_the_digest_says_nothing_about_the_key() -> None:
    key = new_key()
    assert len(digest_of(key)) == 64
    assert key[20:] not in digest_of(key)
