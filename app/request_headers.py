"""A request's headers as a plain mapping: looking one up in the framework's reads through all of them."""

from collections.abc import Mapping
from typing import Final

from starlette.types import Scope

_STATE: Final = "headers"


def headers_of(scope: Scope) -> Mapping[str, str]:
    """The headers of a request by lower-case name, of several of a name the first; they are read once."""
    state = scope.setdefault("state", {})
    found: dict[str, str] | None = state.get(_STATE)
    if found is None:
        found = state[_STATE] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])
        }
    return found
