"""Replies that are not what was asked for, in the ways of real models."""

import json
import random
import re

_SCORE = re.compile(r'"score": \d')
_BETTER = re.compile(r'"better": "\w+"')
_KEYS = (
    ('"scores"', '"marks"'),
    ('"criteria"', '"aspects"'),
    ('"better"', '"winner"'),
    ('"system_prompt"', '"improved"'),
    ('"answer"', '"reply"'),
)


def spoil(text: str, rng: random.Random) -> str:
    """A broken version of ``text``: cut off, in prose, with other keys or values, empty, or garbled."""
    ways = (_cut, _prose, _other_keys, _other_values, _empty, _garbled)
    return rng.choice(ways)(text, rng)


def _cut(text: str, rng: random.Random) -> str:
    return text[: int(len(text) * rng.uniform(0.2, 0.85))]


def _prose(_: str, rng: random.Random) -> str:
    return rng.choice(
        (
            "Certainly! On the whole I would say that it is rather good, with some room for more.",
            "I have thought about it at length, and my view is mixed.",
            "Sorry, I can't give that in the form you want.",
        )
    )


def _other_keys(text: str, rng: random.Random) -> str:
    for known, other in _KEYS:
        if known in text:
            return text.replace(known, other)
    return _prose(text, rng)


def _other_values(text: str, rng: random.Random) -> str:
    if '"score"' in text:
        return _SCORE.sub('"score": "n/a"', text)
    if '"better"' in text:
        return _BETTER.sub('"better": "it depends"', text)
    for name in ("system_prompt", "answer"):
        if f'"{name}"' in text:
            return json.dumps({"analysis": "", name: None})
    if '"criteria"' in text:
        return '{"analysis": "", "criteria": "all of them", "reasoning": 5}'
    return _garbled(text, rng)


def _empty(_: str, __: random.Random) -> str:
    return ""


def _garbled(text: str, rng: random.Random) -> str:
    at = rng.randint(0, len(text) // 2)
    return text[:at] + "\ufffd" * 12 + text[at : at + len(text) // 4]
