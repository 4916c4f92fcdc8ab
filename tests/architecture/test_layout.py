import re

import pytest

from tests.architecture.sources import PACKAGES, ROOT, name_of, python_files

_ROW = re.compile(
    r"^\| `(?P<path>(?:app|optimizer|rewards|store)/[\w/.]*)` \| (?P<owns>.+?) \|$", re.MULTILINE
)


def owned() -> dict[str, str]:
    """What ARCHITECTURE.md lists: a module, or a folder with all modules under it, and what it owns."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    _, heading, listing = text.partition("\n## Who owns what\n")
    assert heading, "ARCHITECTURE.md has no section 'Who owns what'"
    return {row["path"]: row["owns"] for row in _ROW.finditer(listing)}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_its_line_in_the_ownership_list(package: str) -> None:
    listed = owned()
    folders = tuple(place for place in listed if place.endswith("/"))
    modules = [name_of(path) for path in python_files(package) if path.name != "__init__.py"]
    assert modules
    assert [name for name in modules if name not in listed and not name.startswith(folders)] == []


def test_everything_listed_exists() -> None:
    listed = owned()
    assert len(listed) > 50
    assert [place for place in listed if not (ROOT / place).exists()] == []
