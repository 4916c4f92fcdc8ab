import zlib

from hypothesis import given
from hypothesis import strategies as st

from store import compression
from store.compression import compress, decompress


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back(text: str) -> None:
    assert decompress(compress(text)) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_zlib_has_compressed_with_the_dictionary_can_be_read(text: str) -> None:
    compressor = zlib.compressobj(zdict=compression._DICTIONARY)
    assert decompress(compressor.compress(text.encode()) + compressor.flush()) == text


def test_what_was_compressed_without_the_dictionary_can_be_read() -> None:
    assert decompress(zlib.compress(b'{"completions":[]}')) == '{"completions":[]}'


def test_a_short_response_takes_less_than_without_the_dictionary() -> None:
    response = (
        '{"completions":[{"text":"It depends on where you live.","finish_reason":"stop","logprobs":null}],'
        '"usage":{"prompt_tokens":250,"completion_tokens":9},"model":"m","seconds":0.5}'
    )
    assert len(compress(response)) < 0.6 * len(zlib.compress(response.encode()))
