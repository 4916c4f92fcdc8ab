"""Which version of the program this is, as far as a job that is taken over has to know."""

import hashlib
from functools import cache
from importlib import resources
from typing import Final

from app.version import VERSION
from store.records.optimizations import Software

SPEC_VERSION: Final = 4
"""The newest specs of jobs that this version can run; see ``JobSpec.version``."""
_TEXTS: Final = ("optimizer.templates", "rewards.templates", "rewards")
_SUFFIXES: Final = (".j2", ".yaml")
_DIGITS: Final = 12


@cache
def this_software() -> Software:
    """What the keys of calls depend on: the distribution's version, all meta-prompts and the criteria."""
    digest = hashlib.sha256()
    for package in _TEXTS:
        for text in sorted(resources.files(package).iterdir(), key=lambda item: item.name):
            if text.name.endswith(_SUFFIXES):
                digest.update(text.name.encode() + b"\0" + text.read_bytes() + b"\0")
    return Software(name=f"{VERSION}+{digest.hexdigest()[:_DIGITS]}", spec_version=SPEC_VERSION)
