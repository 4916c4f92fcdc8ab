import re
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.architecture.sources import ROOT
from tests.deployment.program import knows_command, settings_from

FILE = ROOT / "docker-compose.yml"
CALLER = {"DRPO_API_KEY": "a-key-of-the-caller", "DRPO_POSTGRES_PASSWORD": "a-password"}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<rest>:[?-][^}]*)?\}")


def composed() -> dict[str, Any]:
    """The file's services."""
    services: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    return services


def ours() -> dict[str, Any]:
    return {name: service for name, service in composed().items() if service["image"] == "drpo"}


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """As compose passes it on, for a caller who has set what the file asks for."""
    return {
        name: VARIABLE.sub(lambda found: CALLER[found["name"]], value)
        for name, value in service.get("environment", {}).items()
    }


async def test_the_file_is_what_compose_reads() -> None:
    checking = await create_subprocess_exec(
        sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE,
        stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    output, _ = await checking.communicate()
    assert checking.returncode == 0, output.decode()


def test_one_profile_is_one_process_and_the_other_is_many_on_postgresql_and_redis() -> None:
    services = composed()
    profiles: dict[str, set[str]] = {}
    for name, service in services.items():
        for profile in service["profiles"]:
            profiles.setdefault(profile, set()).add(name)
    assert profiles == {"one": {"drpo"}, "many": {"migrate", "api", "worker", "postgres", "redis"}}
    assert services["api"]["deploy"]["replicas"] == services["worker"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", sorted(ours()))
async def test_a_service_s_command_and_environment_are_what_the_program_takes(name: str) -> None:
    service = ours()[name]
    assert await knows_command(service.get("command", ["serve"]))
    status, said = await settings_from(environment_of(service))
    assert status == 0, said
    expected = "sqlite" if name == "drpo" else "postgresql://drpo:a-password@postgres/drpo"
    assert expected in said


@pytest.mark.parametrize("name", sorted(ours()))
def test_our_containers_may_nothing_that_they_need_not(name: str) -> None:
    service = ours()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_ports_are_open_to_this_machine_alone_and_a_key_is_asked_for() -> None:
    for service in composed().values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    for service in ours().values():
        assert service["environment"]["DRPO_SERVER__API_KEY"].startswith("${DRPO_API_KEY:?")
