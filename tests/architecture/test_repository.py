import json
import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, name_of, repository_files

REGISTRY_HOSTS = re.compile(r"\b(?:(?:test|files)\.)?(?:pypi|pythonhosted)\.(?:org|io)\b")
MACHINE_PATHS = re.compile(r"(?<![\w.:/~-])/(?:home|root|Users|work|workspace|builds|mnt|srv)/[\w.-]+")
PIN = re.compile(r"^[a-z0-9][a-z0-9._-]*==\S+")


def texts() -> dict[str, str]:
    """The text files of the repository."""
    found: dict[str, str] = {}
    for path in repository_files():
        content = path.read_bytes()
        if b"\0" not in content and path != Path(__file__):
            found[name_of(path)] = content.decode("utf-8")
    return found


def places(pattern: re.Pattern[str]) -> list[str]:
    return [f"{name}: {match.group()}" for name, text in texts().items() for match in pattern.finditer(text)]


def test_no_file_names_a_package_registry() -> None:
    assert places(REGISTRY_HOSTS) == []


def test_no_file_names_a_place_on_somebody_s_machine() -> None:
    assert places(MACHINE_PATHS) == []
    assert places(re.compile(re.escape(str(ROOT)) + r"\b")) == []


def test_the_patterns_find_what_they_look_for() -> None:
    assert REGISTRY_HOSTS.search("https://pypi.org/simple")
    assert MACHINE_PATHS.search("see /home/me/drpo")
    assert not MACHINE_PATHS.search("https://example.org/home/page")


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt", "clients.txt", "vllm.txt"])
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    entries = text.replace("\\\n", " ").splitlines()
    entries = [entry for entry in entries if entry.strip() and not entry.startswith("#")]
    assert len(entries) > 20
    assert [entry for entry in entries if not PIN.match(entry) or "--hash=sha256:" not in entry] == []


def test_the_runtime_is_a_part_of_what_developers_install() -> None:
    pins = {name: pins_in(name) for name in ("runtime.txt", "dev.txt")}
    assert pins["runtime.txt"] <= pins["dev.txt"]


def test_node_packages_are_exact_and_their_lock_names_no_host() -> None:
    folder = ROOT / "tests" / "clients"
    wanted = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert [version for version in wanted.values() if not re.fullmatch(r"[0-9]+(\.[0-9]+){2}", version)] == []
    assert {name: lock[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    packages = {name: about for name, about in lock.items() if name}
    assert len(packages) > 100
    assert [name for name, about in packages.items() if "resolved" in about or "integrity" not in about] == []


@pytest.mark.parametrize(
    "name", ["requirements/install.sh", "requirements/clients.sh", "requirements/vllm.sh", "Dockerfile"]
)
def test_the_pins_are_installed_as_they_are(name: str) -> None:
    """Older versions of pip resolve "name[extra]" apart from its pin, and fail at its next release."""
    text = (ROOT / name).read_text(encoding="utf-8")
    installs = [line for line in text.splitlines() if "--require-hashes" in line]
    assert installs
    assert all("--no-deps" in line for line in installs)


def pins_in(name: str) -> set[str]:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return {match.group() for line in lines if (match := PIN.match(line))}
