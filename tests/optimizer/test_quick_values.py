import copy
import dataclasses
from dataclasses import dataclass, field

import pytest

from optimizer.quick_values import quick


@quick
@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """What a test makes."""

    name: str
    weight: float = 1.0
    stamps: list[int] = field(default_factory=list)


def test_a_quick_value_is_the_dataclass_that_it_was() -> None:
    parcel = Parcel(name="a", weight=2.0, stamps=[1])
    assert parcel == Parcel(name="a", weight=2.0, stamps=[1]) != Parcel(name="b")
    assert repr(parcel) == "Parcel(name='a', weight=2.0, stamps=[1])"
    assert dataclasses.asdict(parcel) == {"name": "a", "weight": 2.0, "stamps": [1]}
    assert dataclasses.replace(parcel, name="b") == Parcel(name="b", weight=2.0, stamps=[1])
    assert copy.deepcopy(parcel) == copy.copy(parcel) == parcel
    with pytest.raises(dataclasses.FrozenInstanceError):
        parcel.name = "b"  # type: ignore[misc]
    with pytest.raises(TypeError, match="'name'"):
        Parcel()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'colour'"):
        Parcel(name="a", colour="red")  # type: ignore[call-arg]


def test_defaults_are_those_of_the_class_and_nothing_made_is_shared() -> None:
    first, second = Parcel(name="a"), Parcel(name="a")
    first.stamps.append(1)
    assert (first.weight, first.stamps, second.stamps) == (1.0, [1], [])
    assert Parcel.__init__.__annotations__["weight"] in {float, "float"}
    assert Parcel.__init__.__qualname__ == "Parcel.__init__"


@dataclass(frozen=True, kw_only=True)
class WithoutSlots:
    name: str


@dataclass(frozen=True, slots=True)
class ByPlace:
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    name: str
    length: int = field(init=False, default=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    name: str

    def __post_init__(self) -> None:
        raise AssertionError


@pytest.mark.parametrize("made", [WithoutSlots, ByPlace, Counted, Checked, int])
def test_only_plain_dataclasses_are_made_quick(made: type) -> None:
    with pytest.raises(TypeError, match=made.__name__):
        quick(made)
