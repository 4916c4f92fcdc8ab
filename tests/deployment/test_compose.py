import json
import re
import sys
from asyncio.subprocess import PIPE, STDOUT, create_subprocess_exec
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from app.vllm.command import build_command
from app.vllm_settings import VllmSettings
from tests.architecture.sources import ROOT
from tests.deployment.program import knows_command, settings_from

FILE = ROOT / "docker-compose.yml"
CALLER = {
    "DRPO_API_KEY": "a-key-of-the-caller",
    "DRPO_POSTGRES_PASSWORD": "a-password",
    "DRPO_VLLM_MODEL": "some/model-1.5B",
}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[?-])(?P<rest>[^}]*))?\}")
BESIDE = {"drpo-vllm": "vllm", "drpo-vllm-cpu": "vllm-cpu"}
"""Services of ours, and the vLLM that each of them asks."""


def composed() -> dict[str, Any]:
    """The file's services."""
    services: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    return services


def ours() -> dict[str, Any]:
    return {name: service for name, service in composed().items() if service["image"] == "drpo"}


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """As compose passes it on, for a caller who has set what the file asks for."""
    return {name: filled(value) for name, value in service.get("environment", {}).items()}


def filled(value: str, given: Mapping[str, str] = CALLER) -> str:
    """``value`` as compose makes it of what the caller has set; it refuses what has to be set."""

    def fill(found: "re.Match[str]") -> str:
        return given[found["name"]] if found["kind"] == "?" else given.get(found["name"], found["rest"] or "")

    return VARIABLE.sub(fill, value)


def flags_of(arguments: Sequence[str]) -> dict[str, str]:
    """The flags of a command line of vLLM, whichever way their values are written."""
    flags, name = dict[str, str](), ""
    for argument in arguments:
        if argument.startswith("--"):
            name, _, flags[name] = argument.partition("=")
        else:
            flags[name] = argument
    return flags


async def test_the_file_is_what_compose_reads() -> None:
    checking = await create_subprocess_exec(
        sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE,
        stdout=PIPE, stderr=STDOUT,
    )  # fmt: skip
    output, _ = await checking.communicate()
    assert checking.returncode == 0, output.decode()


def test_one_profile_is_one_process_another_is_many_on_postgresql_and_redis_and_two_have_vllm() -> None:
    services = composed()
    profiles: dict[str, set[str]] = {}
    for name, service in services.items():
        for profile in service["profiles"]:
            profiles.setdefault(profile, set()).add(name)
    assert profiles == {
        "one": {"drpo"},
        "many": {"migrate", "api", "worker", "postgres", "redis"},
        "vllm": {"drpo-vllm", "vllm", "vllm-cache"},
        "vllm-cpu": {"drpo-vllm-cpu", "vllm-cpu", "vllm-cache"},
    }
    assert services["api"]["deploy"]["replicas"] == services["worker"]["deploy"]["replicas"] == 2


@pytest.mark.parametrize("name", sorted(set(ours()) - {"vllm-cache"}))
async def test_a_service_s_command_and_environment_are_what_the_program_takes(name: str) -> None:
    service = ours()[name]
    assert await knows_command(service.get("command", ["serve"]))
    status, said = await settings_from(environment_of(service))
    assert status == 0, said
    expected = "sqlite" if name.startswith("drpo") else "postgresql://drpo:a-password@postgres/drpo"
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


@pytest.mark.parametrize(("ours_is", "vllm"), BESIDE.items())
async def test_a_service_beside_vllm_waits_for_it_and_has_all_roles_on_its_model(
    ours_is: str, vllm: str
) -> None:
    services = composed()
    assert services[ours_is]["depends_on"] == {vllm: {"condition": "service_healthy"}}
    assert services[vllm]["networks"]["default"]["aliases"] == ["vllm"]
    environment = environment_of(services[ours_is])
    assert json.loads(environment["DRPO_BACKENDS"]) == {"vllm": {"base_url": "http://vllm:8000/v1"}}
    model = {"backend": "vllm", "model": CALLER["DRPO_VLLM_MODEL"]}
    assert json.loads(environment["DRPO_TARGETS"]) == {CALLER["DRPO_VLLM_MODEL"]: model}
    assert json.loads(environment["DRPO_ROLES"]) == dict.fromkeys(("proposer", "selector", "judge"), model)


@pytest.mark.parametrize(("name", "device"), [("vllm", "gpu"), ("vllm-cpu", "cpu")])
def test_vllm_gets_the_flags_with_which_drpo_itself_starts_it(name: str, device: str) -> None:
    settings = VllmSettings.model_validate(
        {"model": CALLER["DRPO_VLLM_MODEL"], "command": sys.executable, "device": device, "port": 8000}
    )
    built = build_command(settings, {})
    composed_command = [filled(part) for part in composed()[name]["command"]]
    assert composed_command[0] == built.arguments[2] == settings.model
    expected = {**flags_of(built.arguments[3:]), "--host": "0.0.0.0"}  # noqa: S104 - within its container
    assert flags_of(composed_command[1:]) == expected


@pytest.mark.parametrize("name", ["vllm", "vllm-cpu"])
def test_vllm_is_nobody_in_particular_and_keeps_its_models_in_a_volume_that_is_its_own(name: str) -> None:
    services = composed()
    service, preparing = services[name], services["vllm-cache"]
    assert service["user"] == "2000:0"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in service
    assert service["volumes"] == preparing["volumes"] == ["vllm-cache:/cache"]
    assert service["environment"]["HOME"] == "/cache"
    assert preparing["entrypoint"] == ["chown", "2000:0", "/cache"]
    assert preparing["cap_add"] == ["CHOWN"]
    assert service["depends_on"] == {"vllm-cache": {"condition": "service_completed_successfully"}}


def test_only_the_profile_for_gpus_asks_for_them() -> None:
    services = composed()
    (device,) = services["vllm"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert "deploy" not in services["vllm-cpu"]
    assert services["vllm-cpu"]["image"] != services["vllm"]["image"]
