"""Frozen dataclasses that are made more quickly: of some there are dozens for each served request."""

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final, TypeVar

T = TypeVar("T")

_NOT_GIVEN: Final = object()


def quick(made: type[T]) -> type[T]:
    """A dataclass with ``frozen``, ``kw_only`` and ``slots`` that is made in less than half of the time.

    It is the same class in all else. What the library writes for a frozen one looks up, by name, where each
    field goes whenever a value is made; this asks the slots themselves.

    Args:
        made: a dataclass with these three, all of whose fields are given or have a default.

    Raises:
        TypeError: it is none.
    """
    if not is_dataclass(made) or "__slots__" not in vars(made) or hasattr(made, "__post_init__"):
        raise TypeError(f"{made.__qualname__} is no plain dataclass with slots")
    parameters: list[str] = []
    lines: list[str] = []
    known: dict[str, Any] = {"_not_given": _NOT_GIVEN}
    for item in fields(made):
        if not (item.init and item.kw_only):
            raise TypeError(f"{made.__qualname__}.{item.name} is no field that is given by its name")
        known[f"_set_{item.name}"] = vars(made)[item.name].__set__
        given, value = item.name, item.name
        if item.default_factory is not MISSING:
            known[f"_make_{item.name}"] = item.default_factory
            given = f"{item.name}=_not_given"
            value = f"_make_{item.name}() if {item.name} is _not_given else {item.name}"
        elif item.default is not MISSING:
            known[f"_default_{item.name}"] = item.default
            given = f"{item.name}=_default_{item.name}"
        parameters.append(given)
        lines.append(f"    _set_{item.name}(self, {value})\n")
    # the library writes its own in the same way; all that goes in are names of fields
    exec(f"def __init__(self, *, {', '.join(parameters)}):\n{''.join(lines)}", known)  # noqa: S102
    _replace(made, known["__init__"])
    return made


def _replace(made: type, init: Callable[..., None]) -> None:
    before = made.__init__  # type: ignore[misc]  # that of this very class
    init.__qualname__, init.__module__ = before.__qualname__, made.__module__
    init.__annotations__ = before.__annotations__
    made.__init__ = init  # type: ignore[misc]
