"""Words of a query in the places of a phrase."""

import random
import re
from collections.abc import Sequence

_NAME = re.compile(r"\W+")
_PLACE = re.compile(r"\{(topic|other|Topic|Other|name)\}")


def fill(text: str, words: Sequence[str], rng: random.Random) -> str:
    """``text`` with two of ``words`` in its places; only our own placeholders are replaced."""
    topic, other = rng.sample(words, 2)
    values = {
        "topic": topic,
        "other": other,
        "Topic": topic[:1].upper() + topic[1:],
        "Other": other[:1].upper() + other[1:],
        "name": _NAME.sub("_", f"{topic}_{other}".lower()),
    }
    return _PLACE.sub(lambda match: values[match[1]], text)
