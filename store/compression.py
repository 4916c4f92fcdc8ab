"""Compression of the call ledger's responses: short texts, alike in form, of which there are very many."""

import zlib
from typing import Final

from isal import isal_zlib

_WORDS: Final = (
    " because they would could should about which their there have with from this that what when where"
    " please however therefore question information example answer response request user assistant model"
    " clear clearly helpful concise accurate accuracy relevant specific details explanation explains steps"
    " does not is not it is you can you are the user the answer of the to the in the and the for the a "
)
_FORMS: Final = (
    '{"analysis": "", "system_prompt": "You are a helpful assistant. '
    '{"analysis": "", "criteria": [{"name": "", "description": "", "reason": ""}], "reasoning": ""}'
    '{"refused":{"message":"backend answered 400: ","backend":"","status":400}}'
    '{\\"scores\\": [{\\"criterion\\": \\"\\", \\"rationale\\": \\"The answer \\", \\"score\\": 4}, '
    '{"completions":[{"text":"","finish_reason":"length","logprobs":null}],"usage":null,'
    '"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":1,"completion_tokens":1},'
    '"model":"","seconds":0.'
)
_DICTIONARY: Final = (_WORDS + _FORMS).encode()
"""What responses are likely to hold; the likeliest last. It is part of what is stored and must not change: a
better one needs a name of its own in front of what it compresses."""


_LEVEL: Final = 1
"""Less CPU than zlib's usual level, for about as many bytes: see ``benchmarks.ledger_compression``."""


def compress(text: str) -> bytes:
    """``text`` as few bytes, in zlib's format (RFC 1950)."""
    compressor = isal_zlib.compressobj(_LEVEL, zdict=_DICTIONARY)
    return compressor.compress(text.encode()) + compressor.flush()


def decompress(stored: bytes) -> str:
    """What ``compress`` was given; also what was compressed without its dictionary, as it was at first."""
    return zlib.decompressobj(zdict=_DICTIONARY).decompress(stored).decode()
